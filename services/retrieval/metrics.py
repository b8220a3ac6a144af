"""What the service counts. Labels come from fixed sets, but for broken collections, of which there are few."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import Counter, Gauge, Histogram

SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
SCORES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
COUNTS = (0, 1, 2, 5, 10, 20, 30, 50, 75, 100, 200)

SEARCHES = Counter("headworks_retrieval_searches_total", "Searches answered.", ["script", "mode"])
DEGRADED_SEARCHES = Counter(
    "headworks_retrieval_degraded_searches_total", "Searches that went by BM25 alone, as the embedder was gone."
)
DEGRADED = Gauge("headworks_retrieval_degraded", "1 while the embedder is taken to be gone.")
NOT_RERANKED = Counter(
    "headworks_retrieval_not_reranked_total", "Searches whose hits stayed in their order, as the reranker was gone."
)
RERANKER_GONE = Gauge("headworks_retrieval_reranker_gone", "1 while the reranker is taken to be gone.")
TOP_SCORE = Histogram("headworks_retrieval_top_score", "Fused score of the best hit.", buckets=SCORES)
TOP_COSINE = Histogram("headworks_retrieval_top_cosine", "Cosine of the best hit, where embedded.", buckets=SCORES)
CANDIDATES = Histogram("headworks_retrieval_candidates", "Passages that a search's signals found.", buckets=COUNTS)
DOCUMENTS = Counter("headworks_retrieval_documents_total", "Documents ingested, by outcome.", ["outcome", "reason"])
PASSAGES = Counter("headworks_retrieval_passages_total", "Passages embedded and stored.")
EMBED = Histogram("headworks_retrieval_embed_seconds", "Waiting for the embedding model.", ["what"], buckets=SECONDS)
RERANK = Histogram("headworks_retrieval_rerank_seconds", "Waiting for the reranker.", buckets=SECONDS)
STORE = Histogram("headworks_retrieval_store_seconds", "Waiting for the store.", ["what"], buckets=SECONDS)
BROKEN = Gauge("headworks_retrieval_collection_broken", "1: its data cannot be read.", ["tenant", "collection"])
OPEN = Gauge("headworks_retrieval_open_collections", "Collections that the edge store has open.")
OPENINGS = Counter("headworks_retrieval_collection_openings_total", "Times that the edge store opened a collection.")
FULL = Gauge("headworks_retrieval_store_full", "1 while the edge store's disk has too little space to write.")

_EMBED = {what: EMBED.labels(what) for what in ("query", "passages")}
_STORE = {what: STORE.labels(what) for what in ("query", "write")}


@contextmanager
def embed_seconds(what: str) -> Iterator[None]:
    """Time the block: what is embedded, "query" or "passages"."""
    started = time.perf_counter()
    yield
    _EMBED[what].observe(time.perf_counter() - started)


@contextmanager
def rerank_seconds() -> Iterator[None]:
    """Time the block."""
    started = time.perf_counter()
    yield
    RERANK.observe(time.perf_counter() - started)


@contextmanager
def store_seconds(what: str) -> Iterator[None]:
    """Time the block: what the store does, "query", of which a search that is reranked has two, or "write"."""
    started = time.perf_counter()
    yield
    _STORE[what].observe(time.perf_counter() - started)
