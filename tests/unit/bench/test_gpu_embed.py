"""The bench of a GPU, where there is none: what it compares, and how it ends."""

from pathlib import Path

import pytest
import torch

from bench.gpu_embed import LOWEST, MEDIAN, NO_GPU, RATE, _corpus, compare, main
from bench.ingest.passages import passages
from services.models.device import gpu, processor
from services.runtime.embedders import MINILM


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so_in_a_line_and_ends_with_a_code_of_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--json", str(tmp_path / "gpu.json")]) == NO_GPU
    said = capsys.readouterr()
    assert said.out == ""
    (line,) = said.err.splitlines()
    assert line.startswith("bench: cuda cannot be measured: ")
    assert not (tmp_path / "gpu.json").exists()


def test_rates_and_cosines_are_of_the_projects_own_embedder(tmp_path: Path) -> None:
    texts = passages(_corpus(tmp_path), 6)
    there = {"there": gpu(torch.device("cpu"), torch.bfloat16)}
    report = compare(MINILM.name, there, {"here": processor(torch.float32)}, texts, 4, 2, lambda _: None)
    (sides,) = report.results.values()
    assert [len(own.values) for own in sides["there"].values()] == [2, 2, 2]
    assert sides["here"][LOWEST].median == pytest.approx(1, abs=1e-6)
    assert 0.999 < sides["there"][LOWEST].median <= sides["there"][MEDIAN].median < 0.999999
    assert sides["there"][RATE].minimum > 0
    (case,) = report.to_json()["results"].values()
    assert case["ratios_to"]["here"][RATE] > 0


def test_without_xquad_it_reads_the_documentation(tmp_path: Path) -> None:
    paragraphs = _corpus(tmp_path).paragraphs
    assert len(paragraphs) > 100
    assert all(len(paragraph.text) >= 500 for paragraph in paragraphs)
