"""Rerankers: late interaction, cross-encoders against transformers, and what is refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from services.models.device import processor
from services.models.encoder import Encoder
from services.models.errors import InvalidRequest
from services.models.rerank.check import LATE_INTERACTION, CannotRerank, check_reranker
from services.models.rerank.cross import CrossEncoder
from services.models.rerank.late import LateInteraction
from services.models.rerank.load import load
from services.models.rerank.pairs import Pair, Reranker
from services.models.rerank.serving import read_request, rerank
from services.models.weights import minilm_folder
from services.runtime.reranker import RERANK_TOKENS
from tests.fakes.cross_encoder import make_cross_encoder

QUERY = "How do I reset the coffee machine?"
ANSWER = "Hold the red button for five seconds to reset the machine."
NEAR = "The coffee machine is in the kitchen."
FAR = "The weather is lovely."


@pytest.fixture(scope="module")
def late() -> LateInteraction:
    torch.set_num_threads(1)
    return LateInteraction(Encoder(minilm_folder()))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_cross_encoder(tmp_path_factory.mktemp("cross"))


def scores(reranker: Reranker, texts: list[str], query: str = QUERY, most: int = 0) -> list[float]:
    return [one.score for one in reranker.score([Pair(query, text, most) for text in texts])]


def test_late_interaction_prefers_what_answers(late: LateInteraction) -> None:
    answer, near, far, empty = scores(late, [ANSWER, NEAR, FAR, ""])
    assert min(answer, near) > far + 0.1
    assert empty == 0.0
    assert scores(late, [ANSWER], query=ANSWER) == pytest.approx([1.0], abs=0.001)


def test_a_pair_scores_the_same_alone_and_in_company(late: LateInteraction) -> None:
    pairs = [Pair(QUERY, ANSWER), Pair("What is the weather like?", FAR), Pair(QUERY, "A long text. " * 90)]
    together = [one.score for one in late.score(pairs)]
    assert together == pytest.approx([late.score([pair])[0].score for pair in pairs], abs=0.005)


def test_only_so_many_tokens_of_a_text_are_read(late: LateInteraction) -> None:
    text = "word " * 300 + ANSWER
    assert scores(late, [text]) == pytest.approx(scores(late, ["word " * 300]), abs=0.001), "the end is not read"
    short, whole = (late.score([Pair(QUERY, text, most)])[0].tokens for most in (10, 0))
    assert whole - short == RERANK_TOKENS - 10
    assert late.score([Pair(QUERY, text, 9999)])[0].tokens == whole
    assert late.score([Pair("word " * 400, "")])[0].tokens == 128 + 2


def test_a_cross_encoder_reads_both_together(folder: Path) -> None:
    cross = CrossEncoder(folder, processor(torch.float32))
    texts = [ANSWER, NEAR, FAR, "", "A much longer text that has a forward pass of its own. " * 12]
    together = scores(cross, texts)
    assert together == pytest.approx([scores(cross, [text])[0] for text in texts], abs=1e-4)
    assert scores(cross, texts[:1], query=FAR) != pytest.approx(together[:1], abs=1e-4)


def test_a_cross_encoder_reads_no_more_than_its_positions(folder: Path) -> None:
    (found,) = CrossEncoder(folder, processor(torch.float32)).score([Pair("query " * 500, "text " * 900)])
    assert found.tokens == 256, "its positions: half for the query at most, the rest for the text"


def test_the_setting_names_one_or_the_other(folder: Path, late: LateInteraction) -> None:
    assert isinstance(load(LATE_INTERACTION), LateInteraction)
    assert isinstance(load(check_reranker(str(folder))), CrossEncoder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"architectures": ["XLMRobertaForSequenceClassification"]},
            "XLMRobertaForSequenceClassification, which is not",
        ),
        ({"id2label": {"0": "no", "1": "yes"}}, "2 labels: a reranker has one"),
        ({"hidden_act": "relu"}, "hidden_act relu"),
        ({"num_attention_heads": None}, "config.json cannot be read"),
    ],
)
def test_what_is_not_read_is_refused_by_name(
    folder: Path, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    for file in folder.iterdir():
        (tmp_path / file.name).symlink_to(file)
    config = json.loads((folder / "config.json").read_text()) | changes
    (tmp_path / "config.json").unlink()
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(CannotRerank, match=message):
        check_reranker(str(tmp_path))


def test_a_folder_without_the_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CannotRerank, match=r"no config.json, no model.safetensors, no tokenizer.json"):
        check_reranker(str(tmp_path))
    with pytest.raises(CannotRerank, match="neither late-interaction nor the folder"):
        check_reranker("late")


def test_requests_of_a_batch_get_their_own_scores(late: LateInteraction) -> None:
    requests = [[Pair(QUERY, ANSWER)], [Pair(QUERY, FAR), Pair(QUERY, NEAR)], []]
    first, second, none = rerank(late, requests)
    assert first.scores.shape == first.tokens.shape == (1, 1)
    assert second.scores[0] < second.scores[1]
    assert none.scores.shape == (0, 1)


def test_a_request_is_read_pair_by_pair() -> None:
    query, text = (
        np.array([[one] for one in column], dtype=np.object_) for column in ((b"q", b"r"), (b"\xc3\xa4", b""))
    )
    most = np.array([[7], [0]], dtype=np.int32)
    assert read_request(query, text, most) == [Pair("q", "ä", 7), Pair("r", "", 0)]
    with pytest.raises(InvalidRequest, match="TEXT is not UTF-8"):
        read_request(query, np.array([[b"\xff"], [b""]], dtype=np.object_), most)
