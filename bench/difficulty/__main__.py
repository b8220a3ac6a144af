"""SmolLM2 and a scripted large model behind one route: what the route scores at half of the large one's cost."""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.difficulty import large
from bench.difficulty.questions import Asked, by_kind, questions
from bench.gateway.probe import json_of
from bench.kit import BenchError
from bench.kit.command import Say, execute, parser
from bench.kit.figures import Bound, Goal
from bench.kit.mesh import Mesh, MeshConfig, running
from bench.kit.report import Extra, Report
from bench.peers import semantic_router
from bench.xquad import corpus
from services.llm.difficulty.classifier import Classifier, Floats, threshold_of
from services.llm.difficulty.evaluation import Evaluation, Outcome, Trial, evaluate
from services.llm.difficulty.figures import figures_of
from services.llm.difficulty.scored import Scored, costs_of, parse, scores_of
from services.llm.difficulty.scoring import SCORERS
from services.llm.difficulty.training import rows_of, train
from services.models import embedders
from services.runtime.embedders import MINILM
from services.runtime.settings import prefix

LLM, SMALL, LARGE = "smollm2", "small", "large"
ROUTE, PLAIN, JUDGED = "by-difficulty", "plain", "judged"
READY_SECONDS = 900.0
SYSTEM = "Answer with one word, one number or a few words, and nothing else."
MOST_TOKENS = 32
COST = 0.5
OF_LARGE, DECISION_MS = 0.9, 25.0
TIMED = 150
COLUMNS = ("choice", "score", "from", "to", "of the large one's", "cost", "to the small one")
NOTES = (
    "Questions held out by their hash, a fifth. Cost: of what the large one's answers cost (tokens at the catalogue's "
    "prices). From and to: 95 %, by bootstrap. The large model errs on 5 % of all questions.",
    "LiteLLM's auto-router: semantic-router over the same vectors, as it comes; each learned question is an utterance "
    "of the target that was better, of the small one where both were as good. Its complexity router: rules, cut where "
    "half the cost is on the questions learned from, as the heuristic is.",
    "RouteLLM is left out: its classifiers come from Hugging Face, and its vectors from OpenAI.",
)
EXAMPLES = """\
  python -m bench.difficulty
  python -m bench.difficulty --scores scores.jsonl     # keep what the models said, or go by what they said before
  python -m bench.difficulty --no-peers"""
Embed = Callable[[list[str]], Floats]


def measure(options: argparse.Namespace, say: Say) -> Report:
    """Raises BenchError."""
    asked = questions(corpus.load(options.data, "en"))
    say(f"{len(asked)} questions: " + ", ".join(f"{kind} {count}" for kind, count in by_kind(asked).items()))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="headworks-bench-")))
        url = stack.enter_context(large.serving({one.question: one.reference for one in asked}))
        scores = options.scores or folder / "scores.jsonl"
        if _missing(asked, scores):
            with running(None, say, _config(folder, url)) as mesh:
                _label(mesh, folder, asked, scores)
        texts = {one.question.strip() for one in asked}
        scored = [one for one in parse(scores.read_text("utf-8"), str(scores), SMALL, LARGE) if one.question in texts]
        embed = _embed()
        classifier = train(SMALL, LARGE, MINILM.name, scored, embed)
        found = evaluate(classifier, scored, embed, COST, None)
        say(f"held out: {found.of_large:.3f} of the large one's score at {found.outcomes[0].cost:.3f} of its cost")
        rows = [_row(one, found) for one in found.outcomes]
        if options.peers:
            rows += _peers(classifier, scored, embed, found, say)
        goals = _goals(found)
        extras = [Extra(f"held out, {found.questions} questions, at half the cost", COLUMNS, rows), _curve(found)]
        extras.append(_kinds(asked, scored, classifier, embed))
        if options.live:
            with running(None, say, _config(folder, url, classifier)) as mesh:
                rows.append(_live(mesh, asked, scored, found, say))
                extra, goal = _decisions(mesh, classifier, embed)
            extras.append(extra)
            goals.append(goal)
    return Report("routes by difficulty", (), {}, goals, 1, extras, NOTES)


def _config(folder: Path, url: str, classifier: Classifier | None = None) -> MeshConfig:
    bare = {"generator": "openai", "base_url": url, "bare": True, "price": {"input": 2.5, "output": 10}}
    models = [
        {"name": SMALL, "generator": "triton", "price": {"input": 0.1, "output": 0.4}},
        *({"name": name, **bare} for name in (LARGE, "one", "other")),
    ]
    routes: list[dict[str, Any]] = []
    if classifier is not None:
        routes.append(_route(folder, ROUTE, classifier))
        routes.append({**_route(folder, JUDGED, replace(classifier, small="one", large="other")), "bare": True})
        routes.append({"name": PLAIN, "bare": True, "targets": [{"model": "one"}, {"model": "other"}]})
    file = folder / "models.yaml"
    file.write_text(json.dumps({"models": models, "routes": routes}), "utf-8")
    return MeshConfig(("--llm", LLM), {f"{prefix('llm')}MODELS_FILE": str(file)}, READY_SECONDS)


def _route(folder: Path, name: str, classifier: Classifier) -> dict[str, Any]:
    (folder / f"{name}.safetensors").write_bytes(classifier.to_bytes())
    targets = [{"model": classifier.small}, {"model": classifier.large}]
    difficulty = {"small": classifier.small, "large": classifier.large, "model": f"{name}.safetensors", "cost": COST}
    return {"name": name, "targets": targets, "difficulty": {**difficulty, "explore": 0}}


def _missing(asked: Sequence[Asked], scores: Path) -> bool:
    """Whether a question has no score yet."""
    if not scores.exists():
        return True
    there = {json.loads(line)["question"] for line in scores.read_text("utf-8").splitlines()}
    return any(one.question not in there for one in asked)


def _label(mesh: Mesh, folder: Path, asked: Sequence[Asked], scores: Path) -> None:
    """Raises BenchError."""
    file = folder / "questions.jsonl"
    lines = ({"question": one.question, "reference": one.reference, "scorer": one.scorer} for one in asked)
    file.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    command: list[str | Path] = [
        Path(sys.executable).with_name("headworks"), "routes", "label", file, "--small", SMALL, "--large", LARGE,
        "--out", scores, "--system", SYSTEM, "--max-tokens", str(MOST_TOKENS), "--concurrency", "16",
        "--data", mesh.layout.root,
    ]  # fmt: skip
    if subprocess.run(command, check=False).returncode:
        raise BenchError("`headworks routes label` failed: see above")


def _embed() -> Embed:
    encoder = embedders.load(MINILM.name, "query")

    def embed(texts: list[str]) -> Floats:
        batches = (encoder.encode(texts[start : start + 64]) for start in range(0, len(texts), 64))
        return np.array([each.vector for batch in batches for each in batch], np.float32)

    return embed


def _row(one: Outcome, found: Evaluation) -> tuple[str, Sequence[float]]:
    large = found.outcomes[-1].score
    return one.name, (one.score, one.low, one.high, one.score / large, one.cost, one.small)


def _curve(found: Evaluation) -> Extra:
    columns = ("cost at most", "threshold", "cost", "score", "by chance", "to the small one")
    rows = [
        (f"{one.bound:.1f}", (one.threshold, one.cost, one.score, one.chance, one.small)) for one in found.curve
    ]  # fmt: skip
    return Extra("by the bound on the cost", columns, rows)


def _kinds(asked: Sequence[Asked], scored: Sequence[Scored], classifier: Classifier, embed: Embed) -> Extra:
    """Of what is held out: what either scores, and where the questions go."""
    kinds = {one.question.strip(): one.kind for one in asked}
    own = [one for one in scored if one.held_out]
    names = [kinds[one.question] for one in own]
    texts = [one.question for one in own]
    routed = classifier.estimate(embed(texts), rows_of(texts)).worth > classifier.threshold(COST)
    scores = scores_of(own)
    rows = []
    for kind in sorted(set(names)):
        at = np.array([name == kind for name in names])
        rows.append((kind, (float(at.sum()), *map(float, scores[at].mean(axis=0)), float(routed[at].mean()))))
    return Extra("by kind, held out", ("kind", "questions", "small scores", "large scores", "to the large one"), rows)


def _held_out(scored: Sequence[Scored]) -> list[Scored]:
    return [one for one in scored if one.held_out and one.both]


def _peers(
    classifier: Classifier, scored: Sequence[Scored], embed: Embed, found: Evaluation, say: Say
) -> list[tuple[str, Sequence[float]]]:
    learned, own = [one for one in scored if not one.held_out and one.both], _held_out(scored)
    texts = [one.question for one in (*learned, *own)]
    vectors = {text: vector.tolist() for text, vector in zip(texts, embed(texts), strict=True)}
    as_good = [one.scores[0] >= one.scores[1] for one in learned]  # type: ignore[operator]  # both are known
    small = [one.question for one, good in zip(learned, as_good, strict=True) if good]
    big = [one.question for one, good in zip(learned, as_good, strict=True) if not good]
    given = semantic_router.chosen(vectors, small, big, texts[len(learned) :], texts, say)
    say(f"LiteLLM: auto-router {given.ms:.2f} ms a question without the embedding, rules {given.rules_ms:.2f} ms")
    trial = Trial(scores_of(own).astype(np.float64), costs_of(own).astype(np.float64))
    rules = np.array(given.scored, np.float32)
    cut = threshold_of(rules[: len(learned)], costs_of(learned), COST)
    auto: npt.NDArray[np.bool_] = np.array(given.large)
    at_equal = classifier.estimate(embed(texts[len(learned) :]), rows_of(texts[len(learned) :])).worth
    share = trial.outcome("", auto).cost
    outcomes = [
        trial.outcome("LiteLLM, auto-router", auto),
        trial.outcome(
            "by difficulty, at the auto-router's cost", at_equal > threshold_of(at_equal, costs_of(own), share)
        ),
        trial.outcome("LiteLLM, complexity router", rules[len(learned) :] > cut),
    ]
    return [_row(one, found) for one in outcomes]


def _goals(found: Evaluation) -> list[Goal]:
    mine = found.outcomes[0]
    return [
        Goal("of the large one's score, at half its cost", found.of_large, Bound.AT_LEAST, OF_LARGE),
        Goal("cost, of the large one's", mine.cost, Bound.AT_MOST, COST + 0.05),
        Goal("score over chance at equal cost, low end", found.better[1], Bound.OVER, 0.0),
    ]


def _live(
    mesh: Mesh, asked: Sequence[Asked], scored: Sequence[Scored], found: Evaluation, say: Say
) -> tuple[str, Sequence[float]]:
    """The questions held out, asked through the mesh's route."""
    own = {one.question for one in _held_out(scored)}
    held = [one for one in asked if one.question.strip() in own]
    scores, costs, smalls = list[float](), list[float](), 0
    for one in held:
        answer = _ask(mesh, ROUTE, one.question)
        said = answer["choices"][0]["message"]["content"] or ""
        scores.append(SCORERS[one.scorer](said, one.reference))
        costs.append(answer["headworks"].get("cost", 0.0))
        smalls += answer["headworks"]["route"]["target"] == SMALL
    known = {one.question: one for one in scored}
    dear = sum(known[one.question.strip()].costs[1] or 0 for one in held)
    score, half = statistics.mean(scores), 1.96 * statistics.stdev(scores) / len(scores) ** 0.5
    say(f"through the mesh: {score:.3f}")
    values = (
        score,
        score - half,
        score + half,
        score / found.outcomes[-1].score,
        sum(costs) / dear,
        smalls / len(held),
    )
    return "by difficulty, through the mesh", values


def _decisions(mesh: Mesh, classifier: Classifier, embed: Embed) -> tuple[Extra, Goal]:
    """What a decision takes, in this process and over the mesh: routes over two targets that answer at once, in turn,
    each time another question."""
    texts = [f"What is {number} + {number * 7} in words, and why? {number}" for number in range(TIMED)]
    took: dict[str, list[float]] = {PLAIN: [], JUDGED: []}
    for text in texts:
        for route in took:
            took[route].append(_timed(lambda route=route, text=text: _ask(mesh, route, text)))  # type: ignore[misc]
    vectors, rows = embed(texts), rows_of(texts)
    heuristic = [_timed(lambda text=text: figures_of(text).difficulty) for text in texts]  # type: ignore[misc]
    alone = [
        _timed(lambda at=at: classifier.abstains(classifier.estimate(vectors[at : at + 1], rows[at : at + 1])))  # type: ignore[misc]
        for at in range(TIMED)
    ]
    added = statistics.median(b - a for a, b in zip(took[PLAIN], took[JUDGED], strict=True))
    figures = [("the heuristic", heuristic), ("the classifier, its vector given", alone),
               ("a bare call of a plain route", took[PLAIN]), ("of a route that judges", took[JUDGED])]  # fmt: skip
    table = [(name, (statistics.median(times), sorted(times)[int(0.95 * TIMED)])) for name, times in figures]
    table.append(("what judging adds to a call", (added, float("nan"))))
    goal = Goal("what a decision adds to a call, p50 ms", added, Bound.AT_MOST, DECISION_MS)
    return Extra("a decision", ("", "p50 ms", "p95 ms"), table), goal


def _ask(mesh: Mesh, model: str, question: str) -> Any:
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": question}]
    body = {"model": model, "messages": messages, "max_tokens": MOST_TOKENS, "temperature": 0}
    return json_of(f"{mesh.url}/v1/chat/completions", mesh.key, body)


def _timed(do: Callable[[], Any]) -> float:
    started = time.perf_counter()
    do()
    return (time.perf_counter() - started) * 1000


def _options() -> argparse.Namespace:
    made = parser("difficulty", __doc__ or "", EXAMPLES, rounds=1, mesh=False)
    made.add_argument(
        "--scores", type=Path, metavar="PATH", help="the models' scores: kept there, and taken from there"
    )
    made.add_argument("--peers", action=argparse.BooleanOptionalAction, default=True, help="measure LiteLLM's beside")
    made.add_argument("--live", action=argparse.BooleanOptionalAction, default=True, help="ask through the route too")
    return made.parse_args()


if __name__ == "__main__":
    sys.exit(execute(_options(), measure))
