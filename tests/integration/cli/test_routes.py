"""`headworks routes`: from questions to scores, from scores to a classifier, and what that is worth."""

import json
from pathlib import Path
from typing import Any

import pytest

from cli import program
from cli.edge import Edge
from cli.routes.label import Labelling, Task
from tests.fakes.openai_upstream import Exchange, FakeOpenAi, fails

Capture = pytest.CaptureFixture[str]


def lines_of(count: int) -> list[dict[str, Any]]:
    """Greetings, which both answer well, and proofs, which the small one does not."""
    names = [f"{first}{second}" for first in ("An", "Bo", "Cle", "Da", "El") for second in ("na", "rik", "mens", "vid")]
    easy = [f"Say hello to {name} number {number}." for number in range(9) for name in names]
    hard = [f"Prove the theorem of {name} on primes above {number}." for number in range(9) for name in names]
    return [
        {"question": question, "scores": {"mini": float(kind == 0), "maxi": 1}, "cost": {"mini": 0.1, "maxi": 1}}
        for pair in zip(easy, hard, strict=True) for kind, question in enumerate(pair)
    ][:count]  # fmt: skip


def write(file: Path, lines: list[dict[str, Any]]) -> Path:
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return file


def test_scores_make_a_classifier_that_can_be_measured(tmp_path: Path, capsys: Capture) -> None:
    scores, out = write(tmp_path / "scores.jsonl", lines_of(200)), tmp_path / "own.safetensors"
    trained = ["routes", "train", str(scores), "--small", "mini", "--large", "maxi", "--out", str(out), "--json"]
    assert program.run([*trained, "--cost", "0.6"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["questions"] + found["learned"] == 200
    assert found["outcomes"][0]["score"] > 0.9
    assert found["outcomes"][0]["cost"] < 0.75
    assert program.run(["routes", "evaluate", str(scores), "--model", str(out), "--threshold", "1"]) == 0
    told = capsys.readouterr()
    assert "always maxi" in told.out
    assert "at random, equal cost" in told.out
    assert "not surely better than chance" in told.err


def test_what_cannot_be_learned_from_leaves_no_file(tmp_path: Path, capsys: Capture) -> None:
    scores, out = write(tmp_path / "scores.jsonl", lines_of(20)), tmp_path / "own.safetensors"
    trained = ["routes", "train", str(scores), "--large", "maxi", "--out", str(out)]
    assert program.run([*trained, "--small", "mini"]) == 1
    assert "it takes 50 at least" in capsys.readouterr().err
    assert program.run([*trained, "--small", "other"]) == 1
    assert "it takes 50" in capsys.readouterr().err
    assert program.run([*trained, "--small", "maxi"]) == 2
    write(scores, [{"question": "a", "scores": {"mini": 2}}])
    assert program.run([*trained, "--small", "mini"]) == 1
    assert "line 1: scores.mini: 2 is not between 0 and 1" in capsys.readouterr().err
    assert not out.exists()


def test_a_file_that_is_no_classifier(tmp_path: Path, capsys: Capture) -> None:
    scores = write(tmp_path / "scores.jsonl", lines_of(20))
    assert program.run(["routes", "evaluate", str(scores), "--model", str(scores)]) == 1
    assert "is no classifier" in capsys.readouterr().err


async def answers(exchange: Exchange) -> None:
    """The small one says 4 to all, the large one knows."""
    question = exchange.body["messages"][-1]["content"]
    said = "It is 4." if exchange.body["model"] == "mini" else f"It is {sum(map(int, question.split(' + ')))}."
    whole = {"choices": [{"message": {"role": "assistant", "content": said}}],
             "usage": {"prompt_tokens": 10, "completion_tokens": 5}}  # fmt: skip
    await exchange.head(kind="application/json")
    await exchange.send(json.dumps(whole).encode())
    await exchange.end()


TASKS = [Task("2 + 2", "4", "number"), Task("2 + 3", "5", "number")]
PRICES = {"mini": (0.1, 0.4), "maxi": (1.0, 4.0)}


async def labelled(url: str, out: Path, **more: Any) -> Labelling:
    run = Labelling(Edge(url.removesuffix("/v1"), "key"), 5, PRICES, out, **more)
    await run.all(TASKS, 2)
    return run


async def test_both_targets_are_asked_and_scored(tmp_path: Path) -> None:
    out = tmp_path / "scores.jsonl"
    async with FakeOpenAi(answers).serving() as upstream:
        run = await labelled(upstream.url, out, system="Be brief.", max_tokens=9)
        asked = [exchange.body for exchange in upstream.exchanges]
        headers = upstream.exchanges[0].headers
    assert (run.written, run.failed, run.averages) == (2, [], {"mini": 0.5, "maxi": 1.0})
    found = sorted(map(json.loads, out.read_text().splitlines()), key=lambda line: str(line["question"]))
    assert [line["scores"] for line in found] == [{"mini": 1.0, "maxi": 1.0}, {"mini": 0.0, "maxi": 1.0}]
    assert found[0]["cost"] == {"mini": pytest.approx(3e-6), "maxi": pytest.approx(3e-5)}
    assert {(body["model"], body["max_tokens"], body["temperature"]) for body in asked} == {
        ("mini", 9, 0),
        ("maxi", 9, 0),
    }
    assert asked[0]["messages"][0] == {"role": "system", "content": "Be brief."}
    assert (headers["cache-control"], headers["authorization"]) == ("no-store", "Bearer key")


async def test_a_question_that_is_not_answered_is_named_and_not_written(tmp_path: Path) -> None:
    out = tmp_path / "scores.jsonl"
    async with FakeOpenAi(fails(400, "odd")).serving() as upstream:
        run = await labelled(upstream.url, out)
    assert (run.written, len(run.failed), out.exists()) == (0, 2, False)
    assert run.failed[0].startswith("mini did not answer '2 +")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("{", "line 1: no JSON"),
        ('{"question": "a"}', "line 1: reference: a text is missing"),
        ('{"question": "a", "reference": "b", "scorer": "bleu"}', "'bleu' is none of exact, contains, number, f1"),
        ("", "has no line"),
    ],
)
def test_bad_questions(tmp_path: Path, capsys: Capture, content: str, why: str) -> None:
    file = tmp_path / "questions.jsonl"
    file.write_text(content)
    assert (
        program.run(["routes", "label", str(file), "--small", "a", "--large", "b", "--out", str(tmp_path / "o")]) == 1
    )
    assert why in capsys.readouterr().err
