"""The best candidates read closely: what that changes, where it is not done, and what it costs."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from services.retrieval.embedders import Embedders
from services.retrieval.model import (
    Caller,
    Candidates,
    CollectionKey,
    Hit,
    Index,
    Passage,
    SearchMode,
    SearchRequest,
    Sentences,
    Signal,
    StoreQuery,
)
from services.retrieval.reranker import NO_RERANKER
from services.retrieval.search import reading, sentences
from services.retrieval.search.plan import plan
from services.retrieval.search.reading import Read
from services.retrieval.search.service import Search
from services.runtime.embedders import E5, MINILM
from tests.fakes.retrieval import FakeEmbedder, vector_of

QUERY = "how do the cats sleep"
# "near" has the better vector, "said" the sentences, "none" neither.
DENSE = [("near", 0.6), ("said", 0.5), ("none", 0.4)]
TEXTS = {
    "near": ("dogs bark", "birds sing"),
    "said": ("how do the cats sleep", "the cats sleep long"),
    "none": ("nothing of it", "ERR-5521"),
}


class Store:
    """Holds passages of two sentences each."""

    def __init__(self, dense: Sequence[tuple[str, float]] = DENSE, texts: Mapping[str, Sequence[str]] = TEXTS) -> None:
        self._dense = dense
        self._texts = texts
        self.fetched: list[Sequence[str]] = []

    async def current(self, key: CollectionKey) -> Index:
        return Index(key, MINILM.name, 1200)

    async def candidates(self, index: Index, probe: StoreQuery) -> Candidates:
        found = {
            signal: self._dense
            for signal, asked in ((Signal.DENSE, probe.dense), (Signal.LEXICAL, probe.lexical))
            if asked is not None
        }
        return Candidates(found, exact=[[("none", 1.0)] for _ in probe.exact])

    async def fetch(
        self, index: Index, ids: Sequence[str], with_sentences: bool
    ) -> Mapping[str, tuple[Passage, Sentences | None]]:
        self.fetched.append(ids)
        return {one: (self._passage(one), _sentences(self._texts[one])) for one in ids}

    def _passage(self, one: str) -> Passage:
        text = " ".join(self._texts[one])
        return Passage(one, f"d{one}", "", "", (), 0, (0, len(text)), text)


def _sentences(texts: Sequence[str]) -> Sentences:
    rows = [np.rint(vector_of(text) * 127).astype(np.int8).tobytes() for text in texts]
    return Sentences([(0, len(text)) for text in texts], b"".join(rows))


async def hits(store: Store, query: str = QUERY, **fields: Any) -> Sequence[Hit]:
    search = Search(store, Embedders([FakeEmbedder()], MINILM.name), NO_RERANKER)  # type: ignore[arg-type]  # what is needed
    found = await search.search(Caller("acme", None), SearchRequest("docs", query, **fields))
    return found.hits


def order(found: Sequence[Hit]) -> list[str]:
    return [hit.passage.id for hit in found]


async def test_what_says_it_comes_before_what_is_like_it() -> None:
    found = await hits(Store())
    assert order(found)[0] == "said"
    [read] = [signal for signal in found[0].signals if signal.signal is Signal.READING]
    assert read.score > 0.6
    assert read.contribution > 0
    assert sum(signal.contribution for signal in found[0].signals) == pytest.approx(found[0].score)
    assert all(0 <= hit.score <= 1 for hit in found)


async def test_what_holds_an_identifier_stays_first() -> None:
    assert order(await hits(Store(), "how do the cats sleep with ERR-5521"))[0] == "none"


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ("Wie schlafen die Katzen in der Nacht?", {}),
        (QUERY, {"mode": SearchMode.DENSE}),
        (QUERY, {"mode": SearchMode.LEXICAL}),
    ],
)
async def test_is_left_out_where_it_would_tell_nothing(query: str, fields: dict[str, Any]) -> None:
    found = await hits(Store(), query, **fields)
    assert order(found) == ["near", "said", "none"]
    assert Signal.READING not in {signal.signal for hit in found for signal in hit.signals}


async def test_only_the_best_are_read_and_fetched_once() -> None:
    many = [(f"p{number:02}", 0.6 - number / 100) for number in range(20)]
    store = Store(many, {name: ("dogs bark", f"birds sing {name}") for name, _ in many})
    found = await hits(store, limit=12)
    assert len(found) == 12
    assert [len(ids) for ids in store.fetched] == [reading.DEPTH, 2]


def test_a_passage_is_as_near_as_its_nearest_two_sentences_and_half_as_near_with_one() -> None:
    planned, vector = plan(SearchRequest("docs", "zebra")), vector_of("zebra")
    texts = {"one": ["zebra"], "two": ["zebra", "zebra"], "among": ["ant", "zebra", "bee", "zebra"], "none": ["ant"]}
    passage = Store()._passage("none")
    read = {name: Read(passage, None, sentences.score(_sentences(own), vector)) for name, own in texts.items()}
    scores = reading.score(planned, {**read, "unread": Read(passage, None, None)})
    share = reading.NEAR / (reading.NEAR + reading.WORDS)
    assert scores == pytest.approx({"one": share / 2, "two": share, "among": share, "none": 0, "unread": 0}, abs=0.01)


@pytest.mark.parametrize(
    ("query", "share"), [("how do the cats sleep", 1), ("cats and zebras", 0.5), ("the zebra", 0), ("of the", 0)]
)
def test_words_of_content_count_in_the_text_and_above_it(query: str, share: float) -> None:
    passage = Passage("p", "d", "All of Cats", "", ("Nights",), 0, (0, 9), "They sleep.")
    scores = reading.score(plan(SearchRequest("docs", query)), {"p": Read(passage, None, None)})
    assert scores["p"] == pytest.approx(share * reading.WORDS / (reading.NEAR + reading.WORDS))


def test_accents_of_a_question_are_taken_off_the_text_too() -> None:
    passage = Passage("p", "d", "", "", (), 0, (0, 9), "Con đập giữ nước.")
    query = "con đập giữ nước"
    scores = reading.score(plan(SearchRequest("docs", query), E5), {"p": Read(passage, None, None)})
    assert scores["p"] == pytest.approx(reading.WORDS / (reading.NEAR + reading.WORDS))
