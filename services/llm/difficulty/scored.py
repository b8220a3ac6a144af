"""Questions with what two targets scored on them: a line of JSON each. Pure."""

import hashlib
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Never

import numpy as np

from services.llm.difficulty.classifier import UNSCORED, Counts, Floats
from services.llm.difficulty.figures import question_of

MOST_PROBLEMS = 5
FOLDS = 5
"""One of so many questions is held out, by its hash."""
Two = tuple[float | None, float | None]


class BadScores(ValueError):
    """The file is none that can be learned from; the message says where and why."""


@dataclass(frozen=True, slots=True)
class Scored:
    """A question, and the scores (0 to 1) and costs of the small and the large target's answers, as far as known."""

    question: str
    scores: Two
    costs: Two = (None, None)

    @property
    def both(self) -> bool:
        return None not in self.scores

    @property
    def hash(self) -> int:
        return int.from_bytes(hashlib.blake2b(self.question.encode(errors="replace"), digest_size=8).digest(), "big")

    @property
    def held_out(self) -> bool:
        """Whether it is never learned from, so that it can be measured on."""
        return self.hash % FOLDS == 0


def parse(text: str, where: str, small: str, large: str) -> list[Scored]:
    """The questions of a file, each once, with the average of its scores. `where` names it in errors. Raises
    BadScores, which names the first lines that are wrong."""
    found: list[Scored] = []
    problems: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            found.append(_scored(line, small, large))
        except ValueError as error:
            problems.append(f"{where}, line {number}: {error}")
            if len(problems) == MOST_PROBLEMS:
                break
    if problems:
        raise BadScores("\n".join(problems))
    if not found:
        raise BadScores(f"{where} has no line")
    return merged(found)


def merged(scored: Iterable[Scored]) -> list[Scored]:
    """Each question once."""
    groups: dict[str, list[Scored]] = {}
    for one in scored:
        groups.setdefault(one.question, []).append(one)
    return [
        group[0] if len(group) == 1 else Scored(
            question, _averages([one.scores for one in group]), _averages([one.costs for one in group])
        )
        for question, group in groups.items()
    ]  # fmt: skip


def scores_of(scored: Sequence[Scored]) -> Floats:
    """[n, 2], UNSCORED where a target was not."""
    return np.array([[UNSCORED if score is None else score for score in one.scores] for one in scored], np.float32)


def costs_of(scored: Sequence[Scored]) -> Floats:
    """[n, 2]: the average of the target's where one is not known; where none is, an answer of the large target counts
    one, one of the small nothing."""
    costs = np.array([[np.nan if cost is None else cost for cost in one.costs] for one in scored], np.float64)
    if np.isnan(costs).all(axis=0).any():
        return np.tile(np.array([0.0, 1.0], np.float32), (len(scored), 1))
    return np.where(np.isnan(costs), np.nanmean(costs, axis=0), costs).astype(np.float32)


def hashes_of(scored: Sequence[Scored]) -> Counts:
    return np.array([one.hash for one in scored], np.uint64)


def _averages(pairs: Sequence[Two]) -> Two:
    return _average([first for first, _ in pairs]), _average([second for _, second in pairs])


def _average(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _scored(line: str, small: str, large: str) -> Scored:
    """Raises ValueError."""
    try:
        value: Any = json.loads(line, parse_constant=_no_number)
    except json.JSONDecodeError as error:
        raise ValueError(f"no JSON: {error.msg} at character {error.pos + 1}") from error
    if not isinstance(value, dict):
        raise ValueError("no object with question and scores")
    question, scores = value.get("question"), value.get("scores")
    if not isinstance(question, str) or not question.strip():
        raise ValueError("question: a text is missing")
    if not isinstance(scores, dict) or not {small, large} & scores.keys():
        names = ", ".join(map(repr, scores)) if isinstance(scores, dict) and scores else "nothing"
        raise ValueError(f"scores: there is one neither of {small!r} nor of {large!r}, but of {names}")
    costs = value.get("cost") or {}
    if not isinstance(costs, dict):
        raise ValueError("cost: not an object with the targets' costs")
    return Scored(
        question_of([question]),
        (_number("scores", scores, small, 1), _number("scores", scores, large, 1)),
        (_number("cost", costs, small, math.inf), _number("cost", costs, large, math.inf)),
    )


def _number(field: str, values: dict[str, Any], name: str, most: float) -> float | None:
    value = values.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{field}.{name}: {value!r} is no number")
    if not 0 <= value <= most:
        raise ValueError(f"{field}.{name}: {value} is not " + ("between 0 and 1" if most == 1 else "0 or more"))
    return float(value)


def _no_number(constant: str) -> Never:
    raise ValueError(f"{constant} is no number that JSON has")
