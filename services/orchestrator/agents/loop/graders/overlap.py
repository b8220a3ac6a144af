"""How much of a text's words another one has: for scripts that the embedder does not read, and for numbers."""

import re
from collections.abc import Sequence

from services.runtime.language.script import Script, script_of
from services.runtime.language.terms import question_terms, terms

_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


def readable(text: str) -> bool:
    """The embedder reads the text's script."""
    return script_of(text) is Script.LATIN


def covered(text: str, others: Sequence[str]) -> float:
    """0 to 1: the largest share of the text's terms that one of the others has."""
    wanted = set(question_terms(text))
    if not wanted:
        return 1.0
    return max((len(wanted.intersection(terms(other))) / len(wanted) for other in others), default=0.0)


def numbers(text: str) -> set[str]:
    """The numbers in a text, without the commas of thousands."""
    return {number.replace(",", "") for number in _NUMBER.findall(text)}
