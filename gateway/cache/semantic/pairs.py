"""Two questions beside each other: figures of how alike they are. Pure."""

from collections.abc import Iterator, Sequence

from gateway.cache.semantic import words
from gateway.cache.semantic.facts import Facts, unified

NAMES = (
    "cosine", "one_sided", "same_words", "fewest", "most", "shared_words", "kinds",
)  # fmt: skip
"""Of the figures, in order."""


def figures(one: Facts, other: Facts, cosine: float) -> Sequence[float]:
    """Of a pair, by NAMES. What one has and the other has not counts by how much it is, and whether both have some."""
    mine, yours = list(_unmatched(one, other)), list(_unmatched(other, one))
    return (
        cosine,
        float(bool(mine) != bool(yours)),
        float(not mine and not yours),
        float(min(len(mine), len(yours))),
        float(max(len(mine), len(yours))),
        len(one.content & other.content) / max(1, len(one.content | other.content)),
        float(one.kinds == other.kinds),
    )


def _unmatched(one: Facts, other: Facts) -> Iterator[str]:
    for token in one.tokens:
        if words.CJK.match(token):
            yield from _runs(unified(token), other)
        elif token not in words.EMPTY and unified(token) not in other.content:
            yield token


def _runs(token: str, other: Facts) -> Iterator[str]:
    """Of a run of Chinese what is not in the other, together where it stands together."""
    run = ""
    text = "".join(unified(each) for each in other.tokens)
    for place, character in enumerate(f"{token}\n"):
        around = token[max(0, place - 1) : place + 1], token[place : place + 2]
        known = character in other.content and (len(token) < 2 or any(len(two) == 2 and two in text for two in around))
        if character in words.EMPTY_CHARACTERS or known or character == "\n":
            if run:
                yield run
            run = ""
        else:
            run += character
