"""How well prompt injection is told from harmless texts, and what it costs. `python -m bench.injection`.

The model runs in this process as it does in Triton. On texts of others, by language: attacks of published collections,
and real documents for false alarms; and on the held-out examples of this project.
"""

import argparse
import asyncio
import sys
import time
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import torch

from bench.injection.corpora import Foreign, harmless, published
from bench.kit.command import Say, execute, parser, positive
from bench.kit.figures import Bound, Goal
from bench.kit.report import Extra, Report
from gateway.guard.injection.classifier import InjectionClassifier
from gateway.guard.injection.rules import Rules
from services.models.encoder import Encoder
from services.models.injection.evaluation import Floats, auc, caught, threshold_at
from services.models.injection.examples import HELD_OUT, Example, load
from services.models.injection.head import Head
from services.models.injection.scoring import Scorer
from services.models.weights import minilm_folder

GOAL = 0.95
LEVELS = (0.5, 0.8, 0.9)
COLUMNS = ("AUC", "caught at 1% false alarms", *(f"caught at {level}" for level in LEVELS))
ALARMS = tuple(f"false alarms at {level}" for level in LEVELS)
KILOBYTES = (1, 4, 16)


class InProcess:
    """The model, without Triton between."""

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer

    async def scores(self, texts: Sequence[str]) -> list[float]:
        return [float(score) for score in self._scorer.scores(texts)]


def both(scorer: Scorer, rules: Rules, texts: Sequence[str]) -> Floats:
    """What the gateway makes of the model and the rules."""
    classifier = InjectionClassifier(InProcess(scorer), rules, seconds=600, waiting=len(texts))
    return np.array(asyncio.run(classifier.scores(texts)), dtype=np.float32)


def told(scores: Floats, attacks: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> list[float]:
    """A row of COLUMNS and ALARMS."""
    threshold = threshold_at(scores, attacks, 0.01)
    return [
        auc(scores, attacks),
        caught(scores, attacks, threshold),
        *(caught(scores, attacks, level) for level in LEVELS),
        *(caught(scores, ~attacks, level) for level in LEVELS),
    ]


def by(key: str, examples: Sequence[Example], scores: Floats) -> list[tuple[str, list[float]]]:
    """Attacks caught and false alarms at 0.5, by language or kind; NaN where there are none."""
    rows = []
    for value in sorted({getattr(example, key) for example in examples}):
        own = np.array([getattr(example, key) == value for example in examples])
        attacks = np.array([example.attack for example in examples])
        parts = [scores[own & attacks], scores[own & ~attacks]]
        rows.append((value, [*(float((part > 0.5).mean()) if len(part) else float("nan") for part in parts)]))
    return rows


def cost(scorer: Scorer) -> list[tuple[str, list[float]]]:
    """Milliseconds for one text by its size, of one thread."""
    rows = []
    for size in KILOBYTES:
        text = ("The pump must be switched off before the filter is changed, as page %d says. " * 400 % (*range(400),))[
            : size * 1024
        ]
        scorer.scores([text])
        began = time.perf_counter()
        for _ in range(5):
            scorer.scores([text])
        rows.append((f"{size} KB", [(time.perf_counter() - began) * 200]))
    return rows


def shares(
    texts: Sequence[Foreign], scores: dict[str, Floats], by_source: bool
) -> tuple[tuple[str, ...], list[tuple[str, list[float]]]]:
    """How many of the texts each way of judging takes for attacks, by language or by where they are from."""
    columns = ("", "texts", *(f"{name} {level}" for name in scores for level in LEVELS))
    groups: dict[str, list[int]] = defaultdict(list)
    for number, text in enumerate(texts):
        groups[f"{text.source} {text.language}" if by_source else text.language].append(number)
    groups["all"] = list(range(len(texts)))
    rows = [
        (
            group,
            [float(len(own)), *(float((of[own] >= level).mean()) for of in scores.values() for level in LEVELS)],
        )
        for group, own in sorted(groups.items())
    ]
    return columns, rows


def foreign(scorer: Scorer, rules: Rules, options: argparse.Namespace, say: Say) -> list[Extra]:
    """What is caught of others' attacks, and what is wrongly taken for one."""
    texts = [*published(say), *harmless(options.data, options.documents, say)]
    extras = []
    for title, wanted in (("caught of others' attacks", True), ("false alarms on others' texts", False)):
        own = [text for text in texts if text.attack is wanted]
        say(f"{len(own)} texts: {title}")
        judged = {
            "rules": np.array([rules.score(text.text) for text in own], dtype=np.float32),
            "both": both(scorer, rules, [text.text for text in own]),
        }
        for by_source in (False, True):
            columns, rows = shares(own, judged, by_source)
            extras.append(Extra(f"{title}, by {'source' if by_source else 'language'}", columns, rows))
    return extras


def measure(options: argparse.Namespace, say: Say) -> Report:
    torch.set_num_threads(1)
    encoder, rules = Encoder(minilm_folder()), Rules()
    scorer = Scorer(lambda texts: np.array([one.vector for one in encoder.encode(texts)]), Head.load())
    examples = load(HELD_OUT)
    texts = [example.text for example in examples]
    attacks = np.array([example.attack for example in examples])
    say(f"{attacks.sum()} attacks and {(~attacks).sum()} harmless texts held out")
    of = {
        "rules": np.array([rules.score(text) for text in texts], dtype=np.float32),
        "model": scorer.scores(texts),
        "both": both(scorer, rules, texts),
    }
    extras = [
        Extra("held-out part", ("", *COLUMNS, *ALARMS), [(name, told(scores, attacks)) for name, scores in of.items()]),
        Extra("both, by language", ("", "caught at 0.5", "false alarms at 0.5"), by("language", examples, of["both"])),
        Extra("both, by kind", ("", "caught at 0.5", "false alarms at 0.5"), by("kind", examples, of["both"])),
        Extra("time of the model for a text", ("", "ms"), cost(scorer)),
        *foreign(scorer, rules, options, say),
    ]
    goals = [Goal("AUC of the model on the held-out part", auc(of["model"], attacks), Bound.AT_LEAST, GOAL)]
    notes = ["The families of the held-out part share no template with what was learned; one hand wrote both."]
    return Report("prompt injection", [], {}, goals, 1, extras, notes)


def main() -> int:
    made = parser("injection", "How prompt injection is told from harmless texts.", "  python -m bench.injection", 1)
    made.add_argument(
        "--documents", type=positive, default=25, help="real documents of each kind and language at most (25)"
    )
    return execute(made.parse_args(), measure)


if __name__ == "__main__":
    sys.exit(main())
