"""What access lists cost a search: the same passages in three collections, asked by callers of no, one and many
groups."""

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from bench.kit.command import Say
from bench.kit.figures import Bound, Goal, paired
from bench.kit.harness import Case, Figures, Results, Side, alternate
from bench.kit.report import Extra, Report
from bench.scale.collection import CPU, EVERYONE, P50, P99, PER_DOCUMENT, SEED, Client, Held, Question, questions, team
from services.retrieval.store.qdrant_edge import INDEX_FROM

GROUPS = 50
ONE, MANY = (team(0),), tuple(map(team, range(GROUPS)))
UNFILTERED = "no filter"
GOAL_RATIO = 1.5
COMPARED = (P50, P99, CPU)


@dataclass(frozen=True, slots=True)
class Access:
    """Which documents have a list, as Held has it, and who asks; None is who reads everything."""

    name: str
    listed: int
    groups: tuple[str, ...] | None


SIDES = (
    Access(UNFILTERED, 0, None),
    Access("no lists", 0, EVERYONE),
    Access("a tenth has, 1 group", 10, ONE),
    Access(f"a tenth has, {GROUPS}", 10, MANY),
    Access("each has, 1 group", 1, ONE),
    Access(f"each has, {GROUPS}", 1, MANY),
)


def measure(client: Client, texts: Sequence[str], searches: int, rounds: int, say: Say) -> Report:
    """Fill the collections, then ask each the same questions in turn. Raises BenchError."""
    collections = {side.listed: Held(texts, f"listed-{side.listed}", side.listed, GROUPS) for side in SIDES}
    for held in collections.values():
        seconds = asyncio.run(client.ingest(held, say))
        say(f"{held.collection}: {len(texts):,} passages written in {seconds:.0f} s")
    if len(texts) >= INDEX_FROM:
        for held in collections.values():
            client.built(held.collection, time.perf_counter(), say)
    kinds = asked(list(collections.values()), searches)
    cases = [
        Case(kind, [Side(side.name, partial(_search, client, collections[side.listed], side, own)) for side in SIDES])
        for kind, own in kinds.items()
    ]
    for case in cases:  # what the first searches of a collection load, none pays for
        for side in case.sides:
            side.run()
    results = alternate(cases, rounds, say)
    taken = ratios(results)
    highest = max(own[P50] for own in taken.values())
    return Report(
        title=f"access lists: {len(texts):,} passages, {searches} searches of each kind a round",
        cases=cases,
        results=results,
        goals=[Goal(f"p50, the highest ÷ {UNFILTERED}", highest, Bound.AT_MOST, GOAL_RATIO)],
        rounds=rounds,
        extras=[
            Extra(
                f"÷ {UNFILTERED}, the median of each round's",
                ["case", *COMPARED],
                [(name, list(own.values())) for name, own in taken.items()],
            )
        ],
        notes=[
            f"{UNFILTERED}: the caller reads everything (documents.others:read), and no document has a list.",
            "no lists: no document has one, and the caller is in one group.",
            f"a tenth has: a list of one of {GROUPS} groups is on every tenth document of {PER_DOCUMENT} passages; "
            f"each has: on every one, so that a caller of 1 group reads one in {GROUPS}.",
            f"{CPU}: of the service, for a search; what else runs on the machine counts little in it.",
            "vectors are made up (the mean of words' vectors by chance): no side waits for a model.",
        ],
        facts={"ratios": taken},
    )


def asked(collections: Sequence[Held], count: int) -> dict[str, list[Question]]:
    """So many of each kind, about passages that every caller of one group or more may read in all of them."""
    chance = random.Random(SEED)
    (first, *_) = collections
    open_to_one = [
        number for number in range(len(first.texts)) if all(held.group(number) in ("", *ONE) for held in collections)
    ]
    return {
        "words": questions(first, open_to_one, lambda number: first.words(number, chance), count, chance),
        "a number": questions(first, open_to_one, first.about, count, chance),
    }


def _search(client: Client, held: Held, side: Access, asking: Sequence[Question]) -> Figures:
    return asyncio.run(client.search(held.collection, [replace(each, groups=side.groups) for each in asking], 1))


def ratios(results: Results) -> dict[str, dict[str, float]]:
    """What each side of each case takes, by the one without a filter."""
    return {
        f"{case}: {side}": {figure: paired(own, sides[UNFILTERED], figure) for figure in COMPARED}
        for case, sides in results.items()
        for side, own in sides.items()
        if side != UNFILTERED
    }
