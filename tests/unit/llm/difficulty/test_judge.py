"""Which target a question is sent to, and why: with a classifier, without an embedder, and to explore."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from services.llm.catalogue.route import DifficultySpec
from services.llm.difficulty.classifier import BadClassifier
from services.llm.difficulty.judge import REMEMBERED, DifficultyJudge, judge_of
from services.llm.needs import Needs
from services.llm.route_report import Difficulty, JudgedBy
from services.runtime.errors import Unavailable
from tests.unit.llm.difficulty import made

SPEC = DifficultySpec("small", "large", explore=0)
TRAINED = replace(SPEC, threshold=0.5)
OWN = made.classifier()
PROOF = "Prove that the square root of 2 is irrational."


class Embedder:
    """Embeds as in training, unless it is gone."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.gone = False

    async def embed(self, text: str, embedder: str) -> npt.NDArray[np.float32]:
        self.asked.append(text)
        if self.gone:
            raise Unavailable("gone")
        vector: npt.NDArray[np.float32] = made.embed([text])[0]
        return vector


async def decided(judge: DifficultyJudge, *said: str, tenant: str = "") -> tuple[str, Difficulty]:
    needs, why = await judge.prefer(Needs(tenant=tenant, said=lambda: said))
    assert sorted(needs.prefer) == ["large", "small"]
    return needs.prefer[0], why


async def test_the_heuristic_decides_without_a_classifier_and_embeds_nothing() -> None:
    embedder = Embedder()
    judge = judge_of("r", SPEC, embedder)
    assert await decided(judge, "Hi!") == ("small", Difficulty(0.0, JudgedBy.HEURISTIC))
    target, why = await decided(judge, PROOF)
    assert (target, why.by, embedder.asked) == ("large", JudgedBy.HEURISTIC, [])


async def test_its_threshold_is_the_files() -> None:
    assert (await decided(judge_of("r", replace(SPEC, threshold=0.9), None), PROOF))[0] == "small"


async def test_nothing_said_goes_to_the_large_one() -> None:
    target, why = await decided(DifficultyJudge("r", replace(SPEC, explore=1), {"": OWN}, Embedder()))
    assert (target, why.abstained, why.explored) == ("large", "no_text", False)


async def test_the_classifier_decides_by_the_last_message() -> None:
    judge = DifficultyJudge("r", TRAINED, {"": OWN}, Embedder())
    target, why = await decided(
        judge, "hard thing", "easy thing that is long enough to be a question of its own, and no more than that surely"
    )
    assert (target, why.by, why.abstained) == ("small", JudgedBy.CLASSIFIER, "")
    target, why = await decided(judge, "hard thing")
    assert target == "large"
    assert why.value > 0.7


async def test_what_it_does_not_know_goes_to_the_large_one() -> None:
    target, why = await decided(DifficultyJudge("r", TRAINED, {"": OWN}, Embedder()), "foreign matter")
    assert (target, why.abstained, why.why) == ("large", "far", "far")


async def test_the_heuristic_decides_where_the_embedder_is_gone() -> None:
    embedder = Embedder()
    embedder.gone = True
    judge = DifficultyJudge("r", TRAINED, {"": OWN}, embedder)
    target, why = await decided(judge, "hard thing")
    assert (target, why.by) == ("small", JudgedBy.HEURISTIC)
    embedder.gone = False
    assert (await decided(judge, "hard thing"))[1].by is JudgedBy.CLASSIFIER


async def test_the_steps_of_a_run_keep_to_the_target_of_the_first() -> None:
    embedder = Embedder()
    judge = DifficultyJudge("r", TRAINED, {"": OWN}, embedder)
    first = await decided(judge, "hard thing", tenant="acme")
    embedder.gone = True
    assert await decided(judge, "hard thing", tenant="acme") == first
    assert embedder.asked == ["hard thing"]


async def test_what_is_remembered_is_bounded() -> None:
    judge = DifficultyJudge("r", TRAINED, {"": OWN}, Embedder())
    for number in range(REMEMBERED + 3):
        await judge.prefer(Needs(tenant=str(number), said=lambda: ["easy thing"]))
    assert len(judge._known) == REMEMBERED


async def test_a_bound_on_the_cost_holds_for_the_heuristic_that_stands_in() -> None:
    embedder = Embedder()
    embedder.gone = True
    dear, cheap = (DifficultyJudge("r", replace(SPEC, cost=cost), {"": OWN}, embedder) for cost in (1.0, 0.1))
    assert [(await decided(judge, "easy question number 1"))[0] for judge in (dear, cheap)] == ["large", "small"]
    # The classifier, which can tell the kinds apart, has a threshold for this cost that no heuristic ever reaches.
    fair = DifficultyJudge("r", replace(SPEC, cost=0.5), {"": OWN}, embedder)
    assert fair._thresholds[""][JudgedBy.HEURISTIC] < fair._thresholds[""][JudgedBy.CLASSIFIER]


async def test_of_two_questions_alike_the_dear_one_goes_to_the_small_target_where_money_is_bounded() -> None:
    long = "hard thing " + "that goes on and on " * 30
    priced = replace(OWN, price=np.array([0.5, 0.01], np.float32), floor=0.0, apart=2.0)
    own = {"": replace(priced, curve=np.array([[0.5, 0, 1, 10], [0.6, 0, 1, 10]], np.float32))}
    bounded = DifficultyJudge("r", replace(SPEC, cost=0.6), own, Embedder())
    by_threshold = DifficultyJudge("r", replace(SPEC, threshold=0.5), own, Embedder())
    assert [(await decided(judge, text))[0] for judge in (bounded, by_threshold) for text in ("hard thing", long)] == [
        "large", "small", "large", "large",
    ]  # fmt: skip


async def test_a_tenant_has_its_own_classifier() -> None:
    swapped = replace(
        OWN, weights=OWN.weights[::-1].copy(), bias=OWN.bias[::-1].copy(), scores=OWN.scores[:, ::-1].copy(),
        calibration=OWN.calibration[::-1].copy(),
    )  # fmt: skip
    judge = DifficultyJudge("r", replace(SPEC, threshold=0.5), {"": OWN, "acme": swapped}, Embedder())
    assert (await decided(judge, "hard thing"))[0] == "large"
    assert (await decided(judge, "hard thing", tenant="other"))[0] == "large"
    assert (await decided(judge, "hard thing", tenant="acme"))[0] == "small"


async def test_some_questions_explore_and_keep_to_it_for_an_hour() -> None:
    now = 3_600_000.0
    judge = DifficultyJudge("r", replace(SPEC, explore=0.05), {}, None, lambda: now)
    questions = [f"What is number {number}?" for number in range(1000)]
    explored = [question for question in questions if (await decided(judge, question))[1].explored]
    assert 25 <= len(explored) <= 80
    for question in explored:
        target, why = await decided(judge, question)
        assert (target, why.explored, why.why) == ("large", True, "explored")
    now += 3600
    later = [question for question in questions if (await decided(judge, question))[1].explored]
    assert later != explored


def test_files_are_of_the_routes_targets(tmp_path: Path) -> None:
    file = tmp_path / "own.safetensors"
    file.write_bytes(OWN.to_bytes())
    judge_of("r", replace(SPEC, model=file, cost=0.5), None)
    with pytest.raises(BadClassifier, match="was trained for"):
        judge_of("r", DifficultySpec("a", "b", tenants={"acme": file}), None)
