"""What is learned from scores, how it is kept in a file, and what it is worth."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load, save

from services.llm.difficulty import classifier as files
from services.llm.difficulty.classifier import SURELY_LARGE, BadClassifier, threshold_of
from services.llm.difficulty.evaluation import evaluate
from services.llm.difficulty.figures import NAMES
from services.llm.difficulty.scored import BadScores, Scored, parse
from services.llm.difficulty.training import rows_of, train
from services.runtime.embedders import MINILM
from tests.unit.llm.difficulty.made import LARGE, SMALL, classifier, embed, scored

OWN = classifier()


def difficulties(*questions: str) -> list[float]:
    estimate = OWN.estimate(embed(list(questions)), rows_of(questions))
    return [float(each) for each in estimate.difficulty]


def test_what_is_like_the_hard_questions_is_hard() -> None:
    easy, hard = difficulties("easy thing never seen", "hard thing never seen")
    assert easy < 0.2
    assert hard > 0.8


def test_it_abstains_from_what_is_unlike_all_that_it_knows() -> None:
    questions = ["easy thing never seen", "foreign matter"]
    assert OWN.abstains(OWN.estimate(embed(questions), rows_of(questions))) == ["", "far"]


def test_it_abstains_where_regression_and_neighbours_are_apart() -> None:
    questions = ["easy thing never seen"]
    at_odds = replace(OWN, bias=OWN.bias + np.array([-20, 0], np.float32))
    assert at_odds.abstains(at_odds.estimate(embed(questions), rows_of(questions))) == ["disagree"]


def test_it_abstains_from_a_vector_that_is_none() -> None:
    questions = ["easy thing never seen"]
    estimate = OWN.estimate(embed(questions) * np.float32("nan"), rows_of(questions))
    assert OWN.abstains(estimate) == ["far"]
    assert estimate.difficulty.tolist() == [1]


def test_a_file_gives_the_same_classifier(tmp_path: Path) -> None:
    file = tmp_path / "own.safetensors"
    file.write_bytes(OWN.to_bytes())
    read = files.load(file, SMALL, LARGE)
    questions = ["easy thing", "hard thing", "foreign matter"]
    before, after = (one.estimate(embed(questions), rows_of(questions)) for one in (OWN, read))
    assert (before.scores == after.scores).all()
    assert read.threshold(0.5) == OWN.threshold(0.5)


def test_one_for_other_targets_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "own.safetensors"
    file.write_bytes(OWN.to_bytes())
    with pytest.raises(
        BadClassifier, match="was trained for 'small' as the small and 'large' as the large target, not"
    ):
        files.load(file, LARGE, SMALL)


def damaged(**changes: Any) -> bytes:
    """A file in which tensors, or what is said about them, are other ones."""
    about = {"small": SMALL, "large": LARGE, "embedder": OWN.embedder, "figures": list(NAMES),
             "mix": OWN.mix, "floor": OWN.floor, "apart": OWN.apart}  # fmt: skip
    tensors = load(OWN.to_bytes())
    tensors |= {name: value for name, value in changes.items() if name in tensors}
    about |= {name: value for name, value in changes.items() if name in about}
    return save(tensors, {"form": changes.get("form", files.FORM), "about": json.dumps(about)})


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is no classifier"),
        (b"\x80\x04pickle", "is no classifier"),
        (damaged(form="headworks-difficulty/9"), "its form is headworks-difficulty/9"),
        (damaged(embedder="ada-002"), "there is no embedder 'ada-002'"),
        (damaged(figures=["length"]), "other figures"),
        (damaged(floor=float("nan")), "a number in it is none"),
        (damaged(bias=np.array([np.nan, 0], np.float32)), "bias has a number that is none"),
        (damaged(weights=np.zeros((2, 3), np.float32)), "weights has the shape"),
        (damaged(vectors=np.zeros((3, 384), np.float16)), "scores has the shape"),
        (damaged(curve=np.zeros((0, 4), np.float32)), "curve has the shape"),
        (damaged(scores=np.full((len(OWN.scores), 2), -1, np.float32)), "no score of one target"),
    ],
)
def test_a_file_that_is_none(tmp_path: Path, content: bytes, why: str) -> None:
    file = tmp_path / "own.safetensors"
    file.write_bytes(content)
    with pytest.raises(BadClassifier, match=why):
        files.read(file)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BadClassifier, match="cannot be read"):
        files.read(tmp_path / "none.safetensors")


COSTS = np.array([[1, 10]] * 4, np.float32)


@pytest.mark.parametrize(
    ("difficulty", "cost", "asked"),
    [
        ([0.1, 0.2, 0.3, 0.4], 0.5, 1),  # 13 of 40; two would cost 22
        ([0.1, 0.2, 0.3, 0.4], 0.55, 2),
        ([0.1, 0.2, 0.3, 0.4], 1.0, 4),
        ([0.1, 0.2, 0.3, 0.4], 0.0, 0),
        ([0.1, 0.3, 0.3, 0.4], 0.55, 1),  # the two that are alike would both go
        ([0.0, 0.0, 0.0, 0.0], 0.9, 0),
        ([0.1, 0.2, 0.3, SURELY_LARGE], 0.0, 0),
        ([0.1, 0.2, 8.0, 9.0], 0.55, 2),
    ],
)
def test_the_threshold_for_a_cost(difficulty: list[float], cost: float, asked: int) -> None:
    measured = np.array(difficulty, np.float32)
    large = measured > threshold_of(measured, COSTS, cost)
    assert large[measured < SURELY_LARGE].sum() == asked


def test_a_question_that_is_hard_without_a_doubt_is_asked_for_whatever_it_costs() -> None:
    assert OWN.threshold(0.0) < SURELY_LARGE


def test_the_price_of_a_question_is_learned_by_its_length() -> None:
    own = [
        replace(one, question=f"{one.question} {'word ' * (at % 50)}", costs=(0.0, 1.0 + at % 50))
        for at, one in enumerate(scored(400))
    ]
    found = train(SMALL, LARGE, MINILM.name, own, embed)
    texts = [f"hard question number 1 {'word ' * count}" for count in (0, 49)]
    short, long = found.estimate(embed(texts), rows_of(texts)).price
    assert short == pytest.approx(0.1), "the least that there is"
    assert long == pytest.approx(2, rel=0.1)
    even = OWN.estimate(embed(texts), rows_of(texts)).price
    assert even.tolist() == [1, 1]


def test_an_evaluation_is_of_questions_that_were_not_learned() -> None:
    own = scored(400)
    found = evaluate(train(SMALL, LARGE, MINILM.name, own, embed), own, embed, cost=0.6, threshold=None)
    assert found.questions + found.learned == len(own)
    assert found.questions == sum(one.held_out for one in own)
    mine, chance, _, best, small, large = found.outcomes
    assert mine.score <= best.score
    assert best.cost <= mine.cost
    assert large.score == 1.0
    assert small.score == pytest.approx(0.5, abs=0.1)
    assert mine.score > 0.95
    assert mine.cost < 0.65
    assert chance.cost == mine.cost
    assert chance.score < mine.score - 0.1
    assert found.better[1] > 0
    assert found.of_large == pytest.approx(mine.score)
    assert [point.bound for point in found.curve][-1] == 1.0
    assert all(one.brier < 0.05 for one in found.calibration)


def test_an_evaluation_on_what_was_learned_is_refused() -> None:
    own = [one for one in scored() if not one.held_out]
    with pytest.raises(BadScores, match="were not learned from: it takes 10"):
        evaluate(OWN, own, embed, cost=None, threshold=None)


def test_scores_of_one_target_alone_are_learned_from_too() -> None:
    own = [replace(one, scores=(one.scores[0], None)) if at % 2 else one for at, one in enumerate(scored(400))]
    found = train(SMALL, LARGE, MINILM.name, own, embed)
    assert (found.scores == -1).sum() > 100
    questions = ["hard thing never seen"]
    assert found.estimate(embed(questions), rows_of(questions)).difficulty[0] > 0.7


@pytest.mark.parametrize(
    ("own", "why"),
    [
        (scored(40), "questions to learn from are scored for 'small'.* it takes 50"),
        ([replace(one, scores=(1.0, None)) for one in scored()], "0 questions .* scored for 'large'"),
        (
            [
                replace(one, scores=(1.0, None) if one.question.startswith("easy") else (None, 1.0))
                for one in scored(400)
            ],
            "scored for both targets: it takes 30",
        ),
    ],
)
def test_too_few_scores(own: list[Scored], why: str) -> None:
    with pytest.raises(BadScores, match=why):
        train(SMALL, LARGE, MINILM.name, own, embed)


LINE = '{"question": "Why?", "scores": {"small": 0.5, "large": 1}, "cost": {"small": 1, "large": 2.5}}'


def test_a_line_of_scores() -> None:
    [one] = parse(LINE, "own.jsonl", SMALL, LARGE)
    assert one == Scored("Why?", (0.5, 1.0), (1.0, 2.5))


def test_a_question_counts_once() -> None:
    [one] = parse(f"{LINE}\n\n" + LINE.replace("0.5", "1").replace(', "large": 1}', "}"), "own.jsonl", SMALL, LARGE)
    assert one == Scored("Why?", (0.75, 1.0), (1.0, 2.5))


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("{", "line 2: no JSON"),
        ("[]", "line 2: no object"),
        ('{"scores": {"small": 1}}', "question: a text is missing"),
        ('{"question": " ", "scores": {"small": 1}}', "question: a text is missing"),
        ('{"question": "a", "scores": {"other": 1}}', "neither of 'small' nor of 'large', but of 'other'"),
        ('{"question": "a"}', "but of nothing"),
        (LINE.replace("0.5", "NaN"), "NaN is no number"),
        (LINE.replace("0.5", "1.5"), r"scores.small: 1.5 is not between 0 and 1"),
        (LINE.replace("0.5", "-1"), r"scores.small: -1 is not between"),
        (LINE.replace("0.5", "true"), "scores.small: True is no number"),
        (LINE.replace("0.5", '"1"'), "scores.small: '1' is no number"),
        (LINE.replace("2.5", "-2"), "cost.large: -2 is not 0 or more"),
        (LINE.replace("2.5", "1e999"), "cost.large: inf is no number"),
    ],
)
def test_a_line_that_is_none(line: str, why: str) -> None:
    with pytest.raises(BadScores, match=why):
        parse(f"{LINE}\n{line}", "own.jsonl", SMALL, LARGE)


def test_no_more_than_some_lines_are_named() -> None:
    with pytest.raises(BadScores) as caught:
        parse("{\n" * 50, "own.jsonl", SMALL, LARGE)
    assert len(str(caught.value).splitlines()) == 5
