"""Titles and headings as part of what a passage is found by, and what a passage keeps of how it was read."""

from datetime import UTC, datetime

import pytest

from services.retrieval import convert
from services.retrieval.language.fields import HEAD_WEIGHT, LONGEST_HEAD, embedded_head, weighted
from services.retrieval.language.words import passage_vector, query_vector
from services.retrieval.model import READING, Document, Passage, PassageRecord, Sentences, Sparse
from services.retrieval.store import codec


def score(query: str, passage: Sparse) -> float:
    weights = dict(zip(passage.indices, passage.values, strict=True))
    return sum(weights.get(index, 0.0) for index in query_vector(query).indices)


def test_a_term_above_counts_once_and_more_than_one_in_the_text() -> None:
    assert weighted(["a", "b", "b"], ["b", "c", "c"]) == {"a": 1, "b": 2 + HEAD_WEIGHT, "c": HEAD_WEIGHT}


def test_a_passage_is_found_by_its_title_and_its_headings() -> None:
    text = "The tank holds ten litres."
    named, other = passage_vector(text, "AquaMax X200\nTank"), passage_vector(text, "AquaMax X300\nTank")
    assert score("X200 tank", named) > score("X200 tank", other)
    assert score("litres", named) == score("litres", passage_vector(text))


@pytest.mark.parametrize(
    ("title", "headings", "text", "head"),
    [
        ("", (), "Text.", ""),
        ("Guide", ("Guide", "Pumps"), "# Pumps\n\nText.", "Guide: "),
        ("Guide", ("Guide", "Pumps"), "Text.", "Guide > Pumps: "),
        ("", ("Pumps",), "Text.", "Pumps: "),
        ("G" * 300, ("A" * 300, "B" * 300), "Text.", f"{'G' * 48} > {'B' * 48}: "),
    ],
)
def test_what_is_embedded_before_a_text(title: str, headings: tuple[str, ...], text: str, head: str) -> None:
    assert embedded_head(title, headings, text) == head
    assert len(head) <= LONGEST_HEAD + 2


RECORD = PassageRecord(
    Passage("p", "d", "T", "u", ["H"], 0, (0, 5), "Water", 3, "list"),
    dense=None,  # type: ignore[arg-type] # no part of the payload
    lexical=Sparse([], []),
    sentences=Sentences([(0, 5)], bytes(384), ["Rivers"]),
)


def test_page_kind_and_leads_are_stored() -> None:
    payload = codec.passage_payload(RECORD, "v", "text/plain", {})
    assert codec.passage_of("p", payload) == RECORD.passage
    assert codec.sentences_of(payload) == RECORD.sentences
    message = convert.passage(codec.passage_of("p", payload))
    assert (message.page, message.kind) == (3, "list")


def test_what_an_earlier_release_stored_is_read() -> None:
    payload = codec.passage_payload(RECORD, "v", "text/plain", {})
    for new in ("page", "block", "leads"):
        del payload[new]
    passage = codec.passage_of("p", payload)
    assert (passage.page, passage.kind, passage.text) == (0, "", "Water")
    assert codec.sentences_of(payload).leads == ()


def test_a_document_of_an_earlier_reading_is_read_anew() -> None:
    now = Document("d", "u", "T", "text/plain", "hash", 5, 1, datetime.now(UTC), {})
    payload = codec.document_payload(now)
    assert codec.document_of(payload) == now
    assert convert.document(now).content_hash == "hash"
    del payload["reading"]
    old = codec.document_of(payload)
    assert (old.reading, old.version, now.version) == (1, "hash:text/plain", f"hash:text/plain:{READING}")
    assert convert.document(old).content_hash == ""
