"""Search without the embedder: what it falls back on, what it remembers, what it says."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from prometheus_client import REGISTRY

from services.retrieval.embedders import Embedders
from services.retrieval.errors import EmbedderTimeout, EmbedderUnavailable
from services.retrieval.model import (
    Caller,
    Candidates,
    CollectionKey,
    Index,
    Passage,
    SearchMode,
    SearchRequest,
    Sentences,
    Signal,
    StoreQuery,
    Vector,
)
from services.retrieval.search.queries import Queries
from services.retrieval.search.service import Search
from services.runtime.breaker import FIRST_PAUSE, LONGEST_PAUSE, Breaker
from services.runtime.embedders import MINILM
from services.runtime.errors import DeadlineExceeded
from tests.fakes.retrieval import FakeEmbedder, FakeReranker

GONE = EmbedderUnavailable("gone")
PASSAGE = Passage("p", "d", "T", "u", (), 0, (0, 11), "Cats sleep.")
SENTENCES = Sentences([(0, 11)], bytes([127, *[0] * 383]))


class Clock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Store:
    """Answers every probe with one passage, by the signals that it was asked for."""

    def __init__(self) -> None:
        self.probes: list[StoreQuery] = []

    async def current(self, key: CollectionKey) -> Index:
        return Index(key, MINILM.name, 1200)

    async def candidates(self, key: Index, probe: StoreQuery) -> Candidates:
        self.probes.append(probe)
        dense = {Signal.DENSE: [("p", 0.5)]} if probe.dense is not None else {}
        return Candidates({**dense, Signal.LEXICAL: [("p", 3.0)]})

    async def fetch(self, key: Index, passage_ids: Sequence[str], with_sentences: bool) -> Mapping[str, Any]:
        return {"p": (PASSAGE, SENTENCES if with_sentences else None)}


def counted() -> float:
    return REGISTRY.get_sample_value("headworks_retrieval_degraded_searches_total") or 0.0


async def search(embedder: FakeEmbedder, mode: SearchMode = SearchMode.HYBRID, query: str = "do cats sleep?") -> Any:
    request = SearchRequest("docs", query, mode=mode, include_sentences=True)
    embedders = Embedders([embedder], MINILM.name)
    return await Search(Store(), embedders, FakeReranker()).search(Caller("acme", None), request)  # type: ignore[arg-type]  # what is needed of it


@pytest.mark.parametrize("error", [GONE, DeadlineExceeded("late")])
async def test_a_hybrid_search_falls_back_on_words_and_says_so(error: Exception) -> None:
    embedder, before = FakeEmbedder(), counted()
    embedder.error = error
    result = await search(embedder)
    assert result.degraded
    (hit,) = result.hits
    assert [signal.signal for signal in hit.signals] == [Signal.LEXICAL]
    assert hit.score == 1.0, "BM25 weighs all, alone"
    assert (hit.sentence_scores.spans, hit.sentence_scores.scores) == ([(0, 11)], ())
    assert "embed" not in result.timings
    assert counted() == before + 1


async def test_with_the_embedder_nothing_is_degraded() -> None:
    before = counted()
    result = await search(FakeEmbedder())
    assert not result.degraded
    assert [signal.signal for signal in result.hits[0].signals] == [Signal.DENSE, Signal.LEXICAL]
    assert len(result.hits[0].sentence_scores.scores) == 1
    assert counted() == before


async def test_a_dense_search_has_nothing_to_fall_back_on() -> None:
    embedder = FakeEmbedder()
    embedder.error = GONE
    with pytest.raises(EmbedderUnavailable):
        await search(embedder, SearchMode.DENSE)


@pytest.mark.parametrize(("mode", "query"), [(SearchMode.LEXICAL, "cats"), (SearchMode.HYBRID, "猫睡觉吗？")])
async def test_what_needs_no_embedding_is_not_degraded(mode: SearchMode, query: str) -> None:
    embedder = FakeEmbedder()
    embedder.error = GONE
    assert not (await search(embedder, mode, query)).degraded
    assert embedder.queries == []


async def test_an_error_of_another_kind_passes() -> None:
    embedder = FakeEmbedder()
    embedder.error = ValueError("a mistake")
    with pytest.raises(ValueError, match="a mistake"):
        await search(embedder)


async def test_not_every_search_waits_for_an_embedder_that_is_gone() -> None:
    clock, embedder = Clock(), FakeEmbedder()
    queries = Queries(embedder, Breaker(clock))
    embedder.error = GONE
    for _ in range(5):
        assert await queries.vector_or_none("a") is None
    assert len(embedder.queries) == 1
    clock.now += FIRST_PAUSE
    for _ in range(5):
        assert await queries.vector_or_none("a") is None
    assert len(embedder.queries) == 2, "one trial after the pause"
    embedder.error = None
    clock.now += 2 * FIRST_PAUSE
    assert await queries.vector_or_none("a") is not None
    assert await queries.vector_or_none("a") is not None
    assert len(embedder.queries) == 4, "back for all"


async def test_a_caller_in_a_hurry_leaves_the_embedder_to_others() -> None:
    embedder = FakeEmbedder()
    queries = Queries(embedder, Breaker(Clock()))
    embedder.error = DeadlineExceeded("the caller's own")
    assert await queries.vector_or_none("a") is None
    embedder.error = None
    assert await queries.vector_or_none("a") is not None


async def test_an_embedder_that_used_all_its_time_is_gone_for_all() -> None:
    embedder = FakeEmbedder()
    queries = Queries(embedder, Breaker(Clock()))
    embedder.error = EmbedderTimeout("silent")
    assert await queries.vector_or_none("a") is None
    embedder.error = None
    assert await queries.vector_or_none("a") is None
    assert len(embedder.queries) == 1


class TestBreaker:
    def test_pauses_double_up_to_the_longest(self) -> None:
        clock = Clock()
        breaker = Breaker(clock)
        pauses = []
        for _ in range(6):
            assert breaker.admits()
            breaker.failed()
            assert not breaker.admits()
            start = clock.now
            while not breaker.admits():
                clock.now += 0.5
            pauses.append(clock.now - start)
            clock.now += LONGEST_PAUSE
        assert pauses == [1, 2, 4, 8, 8, 8]

    def test_a_trial_that_never_ends_keeps_the_others_away_for_one_pause_only(self) -> None:
        clock = Clock()
        breaker = Breaker(clock)
        breaker.failed()
        clock.now += FIRST_PAUSE
        assert breaker.admits()
        assert not breaker.admits()
        clock.now += FIRST_PAUSE
        assert breaker.admits()

    def test_an_answer_closes_it(self) -> None:
        clock = Clock()
        breaker = Breaker(clock)
        breaker.failed()
        breaker.succeeded()
        assert (breaker.open, breaker.admits(), breaker.admits()) == (False, True, True)


async def test_calls_that_fail_together_count_once() -> None:
    class Slow(FakeEmbedder):
        async def embed_query(self, text: str) -> Vector:
            await asyncio.sleep(0)
            return await super().embed_query(text)

    clock, embedder = Clock(), Slow()
    breaker = Breaker(clock)
    queries = Queries(embedder, breaker)
    embedder.error = GONE
    assert await asyncio.gather(*(queries.vector_or_none("a") for _ in range(3))) == [None] * 3
    assert len(embedder.queries) == 3
    clock.now += FIRST_PAUSE
    assert breaker.admits(), "the first pause, not a longer one"
