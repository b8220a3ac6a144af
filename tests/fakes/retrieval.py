"""A fake embedder and helpers to run the retrieval service over a channel."""

import asyncio
import zlib
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import numpy as np
from headworks.retrieval.v1 import retrieval_service_pb2 as pb
from headworks.retrieval.v1 import retrieval_service_pb2_grpc as pb_grpc

from services.retrieval.app import assemble, open_engine
from services.retrieval.embedder import Embedder
from services.retrieval.model import WIDTH, Sentences, Span, Vector
from services.retrieval.reranker import Reranker
from services.retrieval.settings import RetrievalSettings
from services.retrieval.store.base import VectorStore
from services.retrieval.store.points import PointStore
from services.runtime.embedders import MINILM, EmbedderSpec
from tests.fakes.identity import Keys
from tests.fakes.serving import channel_for


def vector_of(text: str) -> Vector:
    """A unit vector that texts with words in common have in common."""
    vector = np.zeros(WIDTH, dtype=np.float32)
    for word in text.lower().split():
        vector[zlib.crc32(word.strip(".,?!").encode()) % WIDTH] += 1.0
    length = float(np.linalg.norm(vector))
    if length == 0:
        vector[0] = length = 1.0
    unit: Vector = vector / np.float32(length)
    return unit


class FakeEmbedder:
    """An Embedder that hashes words. A call for passages waits for `gate`, then `delay` seconds; `error` is raised."""

    def __init__(self, delay: float = 0.0, spec: EmbedderSpec = MINILM) -> None:
        self.delay = delay
        self.spec = spec
        self.error: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.queries: list[str] = []
        self.batches: list[int] = []
        self.cancelled = 0

    async def embed_query(self, text: str) -> Vector:
        self.queries.append(text)
        if self.error:
            raise self.error
        return vector_of(text)

    async def embed_passages(
        self, texts: Sequence[str], spans: Sequence[Sequence[Span]]
    ) -> Sequence[tuple[Vector, Sentences]]:
        self.batches.append(len(texts))
        try:
            await self.gate.wait()
            await asyncio.sleep(self.delay)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.error:
            raise self.error
        return [
            (vector_of(text), Sentences(own, _sentence_vectors([text[start:end] for start, end in own])))
            for text, own in zip(texts, spans, strict=True)
        ]

    async def ready(self) -> bool:
        return self.error is None


class FakeReranker:
    """A Reranker to which a text is worth the share of the query's words that it has, or what `known` says; raises
    `error` where there is one."""

    def __init__(self, known: Mapping[str, float] | None = None) -> None:
        self.known = known or {}
        self.languages: frozenset[str] = frozenset()
        self.error: Exception | None = None
        self.calls: list[tuple[str, list[str]]] = []

    async def scores(self, query: str, texts: Sequence[str]) -> Sequence[float]:
        self.calls.append((query, list(texts)))
        if self.error:
            raise self.error
        words = set(query.lower().split())
        return [self.known.get(text, len(words & set(text.lower().split())) / len(words)) for text in texts]


def _sentence_vectors(sentences: Sequence[str]) -> bytes:
    vectors = [np.rint(vector_of(sentence) * 127).astype(np.int8) for sentence in sentences]
    return b"".join(vector.tobytes() for vector in vectors)


@dataclass(frozen=True)
class Served:
    """A retrieval service, and a client of it in the tenant "acme"."""

    stub: "pb_grpc.RetrievalServiceAsyncStub"
    keys: Keys
    channel: grpc.aio.Channel | None = None

    def identity(self, tenant: str = "acme") -> tuple[tuple[str, str], ...]:
        return self.keys.metadata(tenant)

    async def ingest(
        self,
        documents: Mapping[str, str | bytes],
        collection: str = "docs",
        *,
        delete_missing: bool = False,
        who: tuple[tuple[str, str], ...] = (),
        **fields: object,
    ) -> tuple[dict[str, pb.DocumentResult], pb.IngestSummary]:
        """Ingest whole documents by id, as `who`; their results by id, and the summary."""
        results: dict[str, pb.DocumentResult] = {}
        summary = pb.IngestSummary()
        requests = ingest_requests(documents, collection, delete_missing=delete_missing, **fields)
        async for response in self.stub.Ingest(iter(requests), metadata=who or self.identity()):
            if response.HasField("result"):
                results[response.result.document_id] = response.result
            elif response.HasField("summary"):
                summary = response.summary
        return results, summary

    async def search(self, query: str, collection: str = "docs", **fields: object) -> pb.SearchResponse:
        request = pb.SearchRequest(collection=collection, query=query, **fields)  # type: ignore[arg-type]
        return await self.stub.Search(request, metadata=self.identity())


def ingest_requests(
    documents: Mapping[str, str | bytes], collection: str = "docs", *, delete_missing: bool = False, **fields: object
) -> list[pb.IngestRequest]:
    """The client's side of an ingestion. `fields` are set on every document."""
    requests = [
        pb.IngestRequest(
            open=pb.IngestOpen(collection=collection, create_collection=True, delete_missing=delete_missing)
        )
    ]
    for document_id, content in documents.items():
        head = pb.IngestDocument(id=document_id, **fields)  # type: ignore[arg-type]
        data = content.encode() if isinstance(content, str) else content
        requests.append(pb.IngestRequest(document=head))
        requests.extend(pb.IngestRequest(chunk=chunk) for chunk in chunks(data))
        requests.append(pb.IngestRequest(end=pb.IngestEnd()))
    return requests


def chunks(data: bytes, size: int = 1 << 20) -> Iterable[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


@asynccontextmanager
async def served(
    folder: Path,
    embedder: Embedder | None = None,
    store: VectorStore | None = None,
    further: Sequence[Embedder] = (),
    reranker: Reranker | None = None,
    **fields: object,
) -> AsyncIterator[Served]:
    """The service as it is served, on a real port, with a fake embedder unless another is given, and further ones."""
    settings = RetrievalSettings(data_dir=folder / "data", **fields)  # type: ignore[arg-type]
    keys = Keys()
    store = store or PointStore(open_engine(settings))
    app = await assemble(
        settings, store, [embedder or FakeEmbedder(), *further], AsyncExitStack(), reranker or FakeReranker()
    )
    async with channel_for(app, verifier=keys.verifier, settings=settings) as channel:
        yield Served(pb_grpc.RetrievalServiceStub(channel), keys, channel)
