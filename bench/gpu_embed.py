"""The embedder on a GPU beside the processor: passages a second with their sentences, as ingestion has them made, and
the cosine of each vector to the one that the processor makes in float32."""

import argparse
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from bench.ingest.passages import passages
from bench.kit import BenchError
from bench.kit.command import ROOT, Say, execute, parser, positive
from bench.kit.harness import Case, Figures, Side, alternate
from bench.kit.report import Report
from bench.xquad import corpus as xquad
from bench.xquad.corpus import Corpus, Paragraph
from services.models.device import Device, fastest_on, gpu, no_gpu, processor
from services.models.embedders import load
from services.models.encoder import Encoder, Spans, Vectors
from services.models.settings import CUDA
from services.models.weights import WeightsNotFound
from services.retrieval.language.sentences import sentences
from services.runtime.embedders import EMBEDDERS, MINILM

NO_GPU = 3
LANGUAGE = "en"
RATE, LOWEST, MEDIAN = "passages/s", "lowest cosine", "median cosine"
# What Triton hands over at most, and what a paragraph of the project's own text has at least, in characters.
BATCH, PARAGRAPH = 128, 500
GPU_TYPES = (torch.bfloat16, torch.float32, torch.float16)
EXAMPLES = f"""\
  python -m bench.gpu_embed
  python -m bench.gpu_embed --embedder multilingual-e5-small --json gpu.json
  python -m bench.gpu_embed --device cuda:1 --passages 16384 --rounds 5

exit codes: 0 measured, 1 failed, {NO_GPU} there is no GPU"""


@dataclass(frozen=True, slots=True)
class Embedding:
    """Passages through an embedder on some device; `reference` has the vectors that the first of them should have."""

    encoder: Encoder
    texts: Sequence[str]
    reference: Vectors

    def run(self) -> Figures:
        started = time.perf_counter()
        vectors = embedded(self.encoder, self.texts)
        seconds = time.perf_counter() - started
        cosines = (vectors[: len(self.reference)] * self.reference).sum(axis=1)
        return {RATE: len(self.texts) / seconds, LOWEST: float(cosines.min()), MEDIAN: float(np.median(cosines))}


def embedded(encoder: Encoder, texts: Sequence[str]) -> Vectors:
    """The vectors of the texts, in batches; those of their sentences are made and let go."""
    batches = [texts[first : first + BATCH] for first in range(0, len(texts), BATCH)]
    return np.array([item.vector for batch in batches for item in encoder.encode(batch, [*map(_spans, batch)])])


def _spans(text: str) -> Spans:
    return np.array(list(sentences(text)), dtype=np.int32).reshape(-1, 2)


def compare(
    name: str, there: dict[str, Device], here: dict[str, Device], texts: Sequence[str], few: int, rounds: int, say: Say
) -> Report:
    """The devices of `there` with all texts, and of `here`, which are slower, with the first few, in turn."""
    say(f"loading {name}; embedding {few} passages on the processor in float32, to compare with")
    reference = embedded(_load(name, processor(torch.float32)), texts[:few])
    sides = []
    for side, device in (there | here).items():
        encoder = _load(name, device)
        embedded(encoder, texts[:BATCH])  # what the first run loads and compiles, none is charged
        embedding = Embedding(encoder, texts[:few] if side in here else texts, reference)
        sides.append(Side(side, embedding.run, peer=side in here))
    cases = [Case(f"{name}, passages of {sum(map(len, texts)) / len(texts):.0f} characters", sides)]
    return Report(
        title=f"embedding on {' and '.join(dict.fromkeys(str(device.at) for device in (there | here).values()))}",
        cases=cases,
        results=alternate(cases, rounds, say),
        goals=[],
        rounds=rounds,
        notes=[
            f"{len(texts)} passages a round, on the processor the first {few} of them, in batches of {BATCH}, with "
            "tokenising and pooling, which the processor does for both.",
            f"the processor has {torch.get_num_threads()} threads; cosines are to its own vectors in float32.",
        ],
        facts={"passages": len(texts), "threads": torch.get_num_threads()},
    )


def _load(name: str, device: Device) -> Encoder:
    try:
        return load(name, "passage", device)
    except WeightsNotFound as error:
        raise BenchError(str(error)) from error


def measure(options: argparse.Namespace, say: Say) -> Report:
    """Raises BenchError."""
    torch.set_num_threads(options.threads)
    at = torch.device(options.device)
    served = fastest_on(torch.cuda.get_device_capability(at))
    types = sorted(GPU_TYPES, key=lambda dtype: dtype is not served)
    there = {f"GPU, {_named(dtype)}": gpu(at, dtype) for dtype in types}
    here = {f"processor, {_named(device.dtype)}": device for device in (processor(torch.float32), processor())}
    texts = passages(_corpus(options.data), max(options.passages, options.processor_passages))
    report = compare(options.embedder, there, here, texts, options.processor_passages, options.rounds, say)
    report.facts.update(
        gpu=torch.cuda.get_device_name(at),
        cuda=torch.version.cuda,
        served=_named(served),
        gpu_mib=torch.cuda.max_memory_allocated(at) / (1 << 20),
    )
    say(f"{report.facts['gpu']}, CUDA {torch.version.cuda}; Headworks would compute in {_named(served)} on it; all "
        f"three types took {report.facts['gpu_mib']:,.0f} MiB")  # fmt: skip
    return report


def _named(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _corpus(folder: Path) -> Corpus:
    """XQuAD where it is, else the project's own documentation."""
    if (folder / f"xquad.{LANGUAGE}.json").is_file():
        return xquad.load(folder, LANGUAGE)
    files = sorted((ROOT / "docs").glob("*.md"))
    texts = [text for file in files for text in _paragraphs(file.read_text("utf-8"))]
    return Corpus(LANGUAGE, tuple(Paragraph(f"docs-{at}", 0, text) for at, text in enumerate(texts)), ())


def _paragraphs(text: str) -> Iterator[str]:
    """A document's paragraphs, short ones together with those behind them."""
    pending = ""
    for part in text.split("\n\n"):
        pending = f"{pending} {' '.join(part.split())}".strip()
        if len(pending) >= PARAGRAPH:
            yield pending
            pending = ""


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    made = parser("gpu_embed", __doc__ or "", EXAMPLES, rounds=3, mesh=False)
    made.add_argument("--device", default=CUDA, help=f"the GPU: {CUDA}, or {CUDA}:1 for the second ({CUDA})")
    made.add_argument("--embedder", choices=EMBEDDERS, default=MINILM.name, help=f"which ({MINILM.name})")
    made.add_argument("--passages", type=positive, default=4096, metavar="N", help="how many the GPU takes (4096)")
    made.add_argument(
        "--processor-passages", type=positive, default=240, metavar="N", help="how many the processor takes (240)"
    )
    cores = len(os.sched_getaffinity(0))
    made.add_argument("--threads", type=positive, default=cores, help=f"threads of the processor (all cores: {cores})")
    return made.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code."""
    options = _options(arguments)
    if reason := no_gpu(options.device):
        print(f"bench: {options.device} cannot be measured: {reason}", file=sys.stderr)
        return NO_GPU
    return execute(options, measure)


if __name__ == "__main__":
    sys.exit(main())
