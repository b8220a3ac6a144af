"""How well prompt injection is told from harmless texts, and what it costs. `python -m bench.injection`.

The model runs in this process as it does in Triton. On the held-out examples; and, for false alarms, on XQuAD's
paragraphs and questions, of which none is an attack.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence

import numpy as np
import torch

from bench.kit import BenchError
from bench.kit.command import Say, execute, parser
from bench.kit.figures import Bound, Goal
from bench.kit.report import Extra, Report
from bench.xquad import corpus as xquad
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


def alarms(scorer: Scorer, rules: Rules, options: argparse.Namespace, say: Say) -> list[tuple[str, list[float]]]:
    """The share of XQuAD's texts that is taken for attacks, where its files are at hand."""
    rows = []
    for language in ("en", "zh"):
        try:
            corpus = xquad.load(options.data, language)
        except BenchError as error:
            say(f"without XQuAD ({language}): {error}")
            continue
        for name, texts in (
            ("questions", [one.text for one in corpus.questions]),
            ("paragraphs", [one.text for one in corpus.paragraphs]),
        ):
            scores = both(scorer, rules, list(dict.fromkeys(texts)))
            rows.append((f"{language} {name}", [float((scores > level).mean()) for level in LEVELS]))
    return rows


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
        Extra("false alarms on XQuAD", ("", *ALARMS), alarms(scorer, rules, options, say)),
    ]
    goals = [Goal("AUC of the model on the held-out part", auc(of["model"], attacks), Bound.AT_LEAST, GOAL)]
    notes = ["The families of the held-out part share no template with what was learned; one hand wrote both."]
    return Report("prompt injection", [], {}, goals, 1, extras, notes)


def main() -> int:
    options = parser("injection", "How prompt injection is told from harmless texts.", "  python -m bench.injection", 1)
    return execute(options.parse_args(), measure)


if __name__ == "__main__":
    sys.exit(main())
