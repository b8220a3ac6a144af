"""Searches whose best hits are reranked: the order, the signals, and what is done without the reranker."""

from collections.abc import Mapping, Sequence
from typing import Any

import grpc
import pytest
from prometheus_client import REGISTRY

from services.retrieval.embedders import Embedders
from services.retrieval.errors import RerankerTimeout, RerankerUnavailable
from services.retrieval.model import (
    Caller,
    Candidates,
    CollectionKey,
    Index,
    Passage,
    SearchRequest,
    SearchResult,
    Signal,
    StoreQuery,
)
from services.retrieval.reranker import NO_RERANKER, Reranker
from services.retrieval.search.service import Search
from services.retrieval.triton_reranker import TritonReranker
from services.runtime.embedders import MINILM
from services.runtime.errors import InvalidArgument
from services.runtime.reranker import RerankerNotServed
from services.runtime.triton import RerankScores, TooManyInferences
from tests.fakes.retrieval import FakeEmbedder, FakeReranker

TEXTS = {"a": "alpha comes first", "b": "beta is second", "c": "gamma is third", "x": "ERR-5521 is the code"}
DENSE = [("a", 0.8), ("b", 0.7), ("c", 0.6)]
QUERY = "what do the cats do?"


class Store:
    """Finds `dense`, and for an identifier the passage "x"."""

    def __init__(self, dense: Sequence[tuple[str, float]] = DENSE, texts: Mapping[str, str] = TEXTS) -> None:
        self.dense = dense
        self.texts = texts
        self.probes: list[StoreQuery] = []

    async def current(self, key: CollectionKey) -> Index:
        return Index(key, MINILM.name, 1200)

    async def candidates(self, index: Index, probe: StoreQuery) -> Candidates:
        self.probes.append(probe)
        return Candidates({Signal.DENSE: self.dense, Signal.LEXICAL: []}, exact=[[("x", 1.0)] for _ in probe.exact])

    async def fetch(self, index: Index, ids: Sequence[str], with_sentences: bool) -> Mapping[str, Any]:
        return {one: (Passage(one, f"d{one}", "T", "", ("H",), 0, (0, 9), self.texts[one]), None) for one in ids}


def searching(reranker: Reranker, store: Store | None = None) -> Search:
    return Search(store or Store(), Embedders([FakeEmbedder()], MINILM.name), reranker)  # type: ignore[arg-type]  # what is needed of it


async def ask(search: Search, rerank: int = 3, query: str = QUERY) -> SearchResult:
    return await search.search(Caller("acme", None), SearchRequest("docs", query, rerank=rerank))


def order(result: SearchResult) -> list[str]:
    return [hit.passage.id for hit in result.hits]


def scoring(**scores: float) -> FakeReranker:
    return FakeReranker({f"T > H: {TEXTS[one]}": score for one, score in scores.items()})


async def test_the_reranker_orders_the_best_and_says_what_it_adds() -> None:
    reranker = scoring(a=0.1, b=0.9, c=0.5)
    result = await ask(searching(reranker))
    assert order(result) == ["b", "c", "a"]
    assert reranker.calls == [(QUERY, [f"T > H: {TEXTS[one]}" for one in "abc"])], "with what stands above each"
    signals = {signal.signal: signal for signal in result.hits[0].signals}
    assert (signals[Signal.RERANK].score, signals[Signal.RERANK].rank) == (0.9, 1)
    assert sum(signal.contribution for signal in signals.values()) == pytest.approx(result.hits[0].score)
    assert 0 < result.hits[0].score <= 1
    assert "rerank" in result.timings
    assert "the reranker has read the best 3" in result.explanation.reason
    assert not result.not_reranked


async def test_without_asking_nothing_is_reranked() -> None:
    reranker = scoring(c=1.0)
    result = await ask(searching(reranker), rerank=0)
    assert (order(result), reranker.calls, result.not_reranked) == (["a", "b", "c"], [], False)
    assert "rerank" not in result.timings


async def test_what_is_not_reranked_comes_behind_what_is() -> None:
    assert order(await ask(searching(scoring(a=0.0, b=0.5)), rerank=2)) == ["b", "a", "c"]


async def test_more_candidates_are_looked_for_where_more_are_reranked() -> None:
    store = Store()
    await ask(searching(scoring(), store), rerank=50)
    assert store.probes[0].limit == 50


async def test_a_passage_that_holds_the_identifier_stays_first() -> None:
    result = await ask(searching(scoring(a=1.0, b=1.0, c=1.0, x=0.0)), rerank=10, query="what is ERR-5521")
    assert order(result)[0] == "x"


async def test_what_nothing_supports_is_left_out_however_the_reranker_likes_it() -> None:
    result = await ask(searching(scoring(a=0.2, b=1.0), Store([("a", 0.8), ("b", 0.1)])))
    assert (order(result), result.explanation.unsupported) == (["a"], 1)


async def test_of_twins_one_is_read_and_ranked() -> None:
    reranker = scoring(a=0.2, c=0.9)
    result = await ask(searching(reranker, Store(texts=TEXTS | {"b": TEXTS["a"]})))
    assert order(result) == ["c", "a"]
    assert len(reranker.calls[0][1]) == 2


@pytest.mark.parametrize("error", [RerankerUnavailable("gone"), RerankerNotServed(), RerankerTimeout("late")])
async def test_without_the_reranker_hits_stay_in_their_order(error: Exception) -> None:
    before = REGISTRY.get_sample_value("headworks_retrieval_not_reranked_total") or 0.0
    reranker = scoring(c=1.0)
    reranker.error = error
    search = searching(reranker)
    for _ in range(3):
        result = await ask(search)
        assert (order(result), result.not_reranked, result.degraded) == (["a", "b", "c"], True, False)
    assert len(reranker.calls) == 1, "not every search waits for one that is gone"
    assert REGISTRY.get_sample_value("headworks_retrieval_not_reranked_total") == before + 3
    assert REGISTRY.get_sample_value("headworks_retrieval_reranker_gone") == 1


async def test_a_service_without_a_reranker_says_so() -> None:
    assert (await ask(searching(NO_RERANKER))).not_reranked


@pytest.mark.parametrize(
    ("query", "reranked"),
    [
        ("what do the cats do?", True),
        ("Wie kann ich das Konto löschen, wenn es nicht mehr gebraucht wird?", False),
        ("Miau Purrington", True),
        ("猫在做什么？", False),
    ],
)
async def test_only_what_the_reranker_reads_is_reranked(query: str, reranked: bool) -> None:
    reranker = scoring(c=1.0)
    reranker.languages = frozenset({"en"})
    result = await ask(searching(reranker), query=query)
    assert bool(reranker.calls) is reranked
    assert not result.not_reranked, "nothing is missing"
    assert ("does not read" in result.explanation.reason.rpartition(";")[2]) is not reranked


async def test_nothing_found_is_nothing_to_rerank() -> None:
    result = await ask(searching(NO_RERANKER, Store([])))
    assert (result.hits, result.not_reranked) == ([], False)


@pytest.mark.parametrize("rerank", [-1, 101])
async def test_a_number_out_of_range_is_refused(rerank: int) -> None:
    with pytest.raises(InvalidArgument, match="rerank must be from 0 to 100"):
        await ask(searching(scoring()), rerank=rerank)


class FakeTriton:
    """Raises its error, or finds every text as good."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.timeouts: list[float] = []

    async def rerank(self, query: str, texts: Sequence[str], *, timeout: float) -> RerankScores:
        self.timeouts.append(timeout)
        if self.error:
            raise self.error
        return RerankScores([0.5] * len(texts), 7)


def reranker_on(triton: Any) -> TritonReranker:
    return TritonReranker(triton, 2.0)


def rpc_error(code: grpc.StatusCode, details: str = "no") -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), details, "")


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (rpc_error(grpc.StatusCode.UNAVAILABLE), RerankerUnavailable),
        (rpc_error(grpc.StatusCode.INTERNAL), RerankerUnavailable),
        (rpc_error(grpc.StatusCode.DEADLINE_EXCEEDED), RerankerTimeout),
        (rpc_error(grpc.StatusCode.NOT_FOUND, "Request for unknown model: 'rerank'"), RerankerNotServed),
        (RerankerNotServed(), RerankerNotServed),
        (TooManyInferences(512), RerankerUnavailable),
    ],
)
async def test_failures_are_told_apart(error: Exception, raised: type[Exception]) -> None:
    with pytest.raises(raised):
        await reranker_on(FakeTriton(error)).scores("q", ["a"])


async def test_scores_come_within_their_time() -> None:
    triton = FakeTriton()
    assert await reranker_on(triton).scores("q", ["a", "b"]) == [0.5, 0.5]
    assert triton.timeouts == [2.0]
