"""The collections of bench.scale: who may read what, and what is asked of whom."""

from collections import Counter
from dataclasses import replace

import pytest
from headworks.retrieval.v1 import retrieval_service_pb2 as pb

from bench.kit.harness import Case, Side, alternate
from bench.scale import access
from bench.scale.collection import CPU, P50, P99, Held

TEXTS = [f"Passage {number} has some words of its own, and others that all have." for number in range(5000)]
COLLECTIONS = [Held(TEXTS, f"listed-{listed}", listed, access.GROUPS) for listed in (0, 10, 1)]


@pytest.mark.parametrize(("held", "listed", "groups"), [*zip(COLLECTIONS, (0, 50, 500), (0, 50, 50), strict=True)])
def test_lists_are_on_as_many_documents_and_of_all_groups_alike(held: Held, listed: int, groups: int) -> None:
    documents: list[pb.IngestDocument] = [
        request.document for request in held.requests(lambda _: None) if request.HasField("document")
    ]
    lists = Counter(group for document in documents for group in document.access_groups)
    assert (len(documents), sum(lists.values()), len(lists)) == (500, listed, groups)
    assert len(set(lists.values())) <= 1


def test_every_side_may_read_what_its_questions_are_about() -> None:
    kinds = access.asked(COLLECTIONS, 30)
    assert {kind: len(asked) for kind, asked in kinds.items()} == {"words": 30, "a number": 30}
    by_code = {held.code(number): number for held in COLLECTIONS[:1] for number in range(len(TEXTS))}
    for question in (each for asked in kinds.values() for each in asked):
        for side in access.SIDES:
            held = replace(COLLECTIONS[0], listed=side.listed)
            assert side.groups is None or held.group(by_code[question.wanted]) in ("", *side.groups)


def test_ratios_are_to_a_search_without_a_filter_round_by_round() -> None:
    taken = {access.UNFILTERED: iter([2.0, 8.0, 4.0]), "no lists": iter([3.0, 8.0, 8.0])}

    def figures(side: str) -> dict[str, float]:
        return dict.fromkeys((P50, P99, CPU), next(taken[side]))

    sides = [Side(name, lambda name=name: figures(name)) for name in taken]  # type: ignore[misc]
    results = alternate([Case("words", sides)], 3, lambda _: None)
    assert access.ratios(results) == {"words: no lists": {P50: 1.5, P99: 1.5, CPU: 1.5}}
