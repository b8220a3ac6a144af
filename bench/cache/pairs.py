"""Questions with their paraphrases and near misses, English and Chinese, written for this."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).parent / "pairs"
FITTED, HELD_OUT = "", "held_out_"
LANGUAGES = ("en", "zh")


class Pair(NamedTuple):
    """Two questions, and whether they have the same answer. `group`: which question they are about."""

    one: str
    other: str
    same: bool
    group: int


@dataclass(frozen=True, slots=True)
class Group:
    """A question and its paraphrases; and questions that only look like it."""

    same: Sequence[str]
    others: Sequence[str]


def groups(part: str, language: str) -> list[Group]:
    """Those of a part: FITTED or HELD_OUT."""
    blocks = (FOLDER / f"{part}{language}.txt").read_text("utf-8").strip().split("\n\n")
    lines = [[(line[0], line[2:]) for line in block.splitlines()] for block in blocks]
    return [
        Group([text for mark, text in one if mark in "=+"], [text for mark, text in one if mark == "-"])
        for one in lines
    ]


def pairs(part: str, language: str) -> Iterator[Pair]:
    """Each question with each of its paraphrases, and each of these with each near miss."""
    for number, group in enumerate(groups(part, language)):
        for one, other in combinations(group.same, 2):
            yield Pair(one, other, True, number)
        for one in group.same:
            for other in group.others:
                yield Pair(one, other, False, number)
