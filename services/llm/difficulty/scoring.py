"""Scores an answer against a reference, 0 to 1. Pure."""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping

_NUMBER = re.compile(r"[-+\u2212]?\d+(?:[,\u00a0\u202f ]\d{3})*(?:\.\d+)?")
_DENSE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")
_CLOSE = 1e-6


def exact(answer: str, reference: str) -> float:
    """The same words, whatever their case and marks."""
    return float(_words(answer) == _words(reference))


def contains(answer: str, reference: str) -> float:
    """The reference's words, in one row."""
    wanted = " ".join(_words(reference))
    return float(bool(wanted) and f" {wanted} " in f" {' '.join(_words(answer))} ")


def number(answer: str, reference: str) -> float:
    """The last number of the answer is the reference's."""
    found, wanted = _numbers(answer), _numbers(reference)
    if not found or not wanted:
        return 0.0
    return float(abs(found[-1] - wanted[-1]) <= _CLOSE * max(1.0, abs(wanted[-1])))


def f1(answer: str, reference: str) -> float:
    """The words that both have, of those of either."""
    mine, wanted = Counter(_words(answer)), Counter(_words(reference))
    shared = (mine & wanted).total()
    return 2 * shared / (mine.total() + wanted.total()) if shared else 0.0


SCORERS: Mapping[str, Callable[[str, str], float]] = {"exact": exact, "contains": contains, "number": number, "f1": f1}


def _words(text: str) -> list[str]:
    spaced = _DENSE.sub(r" \g<0> ", unicodedata.normalize("NFKC", text).casefold())
    return re.findall(r"\w+", spaced)


def _numbers(text: str) -> list[float]:
    found = _NUMBER.findall(unicodedata.normalize("NFKC", text))
    return [float(re.sub(r"[,\s]", "", one).replace("\u2212", "-")) for one in found]
