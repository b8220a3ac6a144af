"""Sixty identifiers, each in one passage among many, and a question that names it."""

import random
from collections.abc import Iterator, Sequence

from bench.documents.questions import Question
from bench.load.rpc import Document

COUNT = 60
SEED = 11
# So many passages are in one stream of an ingestion.
BATCH = 1000
# What names things of a kind, how a text speaks of one, and how a person asks.
KINDS = (
    ("WF-M{:04d}", "The spare part {} was taken off the list in spring.", "When was part {} taken off the list?"),
    ("v{}.{}.{}-rc.{}", "The fault was gone with {}, and nobody saw it again.", "Is the fault gone with {}?"),
    ("CVE-20{:02d}-{:05d}", "The notice on {} asks for an update within a week.", "How soon must we update for {}?"),
    ("ERR_{:03d}_{}", "Whoever sees {} on the display has to call the service.", "The display says {}, what now?"),
)
WORDS = ("TIMEOUT", "OVERHEAT", "NO_WATER", "DOOR_OPEN", "LOW_POWER")


def codes() -> list[str]:
    """All different, and near each other: many differ in one digit."""
    return [code for place in range(COUNT // len(KINDS)) for code in _of_each_kind(place)]


def _of_each_kind(place: int) -> Iterator[str]:
    yield KINDS[0][0].format(5790 + place)
    yield KINDS[1][0].format(1 + place // 8, place % 4, place // 4, 1 + place % 5)
    yield KINDS[2][0].format(21 + place % 3, 40120 + place)
    yield KINDS[3][0].format(410 + place, WORDS[place % len(WORDS)])


def documents(passages: Sequence[str]) -> list[Document]:
    """The passages, one a document; a sentence with a code stands in the midst of each of the first sixty."""
    chance = random.Random(SEED)
    with_codes = [_insert(text, _sentence(place), chance) for place, text in enumerate(passages[:COUNT])]
    return [Document(_name(place), text) for place, text in enumerate([*with_codes, *passages[COUNT:]])]


def questions() -> list[Question]:
    """One a code."""
    return [
        Question(KINDS[place % len(KINDS)][2].format(code), "en", "code", (_name(place),), (code,))
        for place, code in enumerate(codes())
    ]


def _sentence(place: int) -> str:
    return KINDS[place % len(KINDS)][1].format(codes()[place])


def _insert(text: str, sentence: str, chance: random.Random) -> str:
    """Between two sentences of the text, or after it."""
    breaks = [at + 2 for at in range(len(text)) if text.startswith(". ", at)]
    at = chance.choice(breaks) if breaks else len(text)
    return f"{text[:at].rstrip()} {sentence} {text[at:]}".strip()


def _name(place: int) -> str:
    return f"passage-{place:05d}"
