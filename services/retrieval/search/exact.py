"""Passages that hold the identifiers of a query come first.

An identifier that few passages hold is what the query is about, whatever else it says: those that it names come before
those that hold it whole, and these before those that hold a longer one, which begins with it. One that many passages
hold tells less; BM25 weighs it by its rarity, and this signal leaves it alone.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from services.retrieval.model import Candidates, Passage, Signal
from services.runtime.language.identifiers import Identifier, identifiers, last_part, leading_parts, parts

MOST_IDENTIFIERS = 4
"""Identifiers of a query that are looked for, the first ones."""
MOST_HOLDERS = 10
"""Passages that hold an identifier at most, for it to be a rare one."""
SHARE = 0.8
"""Of the fused score. The steps below and a share of one fifth for the rest keep those that hold one before others."""
NAMED, WHOLE, PARTIAL, NONE = 1.0, 0.75, 0.5, 0.0


def sought(query: str) -> list[Identifier]:
    """The identifiers of a query that name one thing, each once."""
    specific = dict.fromkeys(identifier for identifier in identifiers(query) if identifier.specific)
    return list(specific)[:MOST_IDENTIFIERS]


def rare(wanted: Sequence[Identifier], candidates: Candidates) -> dict[Identifier, list[str]]:
    """Those of the identifiers that some passages hold, and not many, with the ids of these."""
    holders = zip(wanted, candidates.exact, strict=False)
    return {identifier: [found for found, _ in held] for identifier, held in holders if 0 < len(held) <= MOST_HOLDERS}


def with_exact(candidates: Candidates, wanted: Iterable[Identifier], passages: Iterable[Passage]) -> Candidates:
    """The candidates with the signal EXACT of those passages that hold an identifier: the mean level over all."""
    keys = [identifier.key for identifier in wanted]
    scores: dict[str, float] = {}
    for passage in passages:
        names, held = _keys((passage.document_id, passage.title, *passage.headings)), _keys((passage.text,))
        level = sum(_level(key, names, held) for key in keys) / len(keys)
        if level > NONE:
            scores[passage.id] = level
    if not scores:
        return candidates
    ranked = sorted(scores.items(), key=lambda each: (-each[1], each[0]))
    return replace(candidates, found={**candidates.found, Signal.EXACT: ranked})


def weight(others: Mapping[Signal, float]) -> float:
    """EXACT's weight beside those of the other signals."""
    return sum(others.values()) * SHARE / (1 - SHARE)


def _level(key: str, names: Mapping[str, float], held: Mapping[str, float]) -> float:
    return NAMED if key in names else held.get(key, NONE)


def _keys(texts: Iterable[str]) -> dict[str, float]:
    """All identifiers of the texts and what is in them, each with its level: a part, such as M5799 of WF-M5799, is a
    whole one too."""
    levels: dict[str, float] = {}
    for text in texts:
        for identifier in identifiers(text):
            levels |= {part: max(PARTIAL, levels.get(part, NONE)) for part in leading_parts(identifier.key)}
            levels |= dict.fromkeys((identifier.key, last_part(identifier.key), *parts(identifier.key)), WHOLE)
    return levels
