"""The mesh through its edge, with the gRPC stubs: what a native client does."""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
from headworks.orchestrator.v1 import orchestrator_service_pb2 as run_service_pb
from headworks.orchestrator.v1 import run_pb2
from headworks.orchestrator.v1.orchestrator_service_pb2_grpc import OrchestratorServiceStub
from headworks.retrieval.v1 import collection_pb2, passage_pb2
from headworks.retrieval.v1 import retrieval_service_pb2 as pb
from headworks.retrieval.v1.retrieval_service_pb2_grpc import RetrievalServiceStub

from bench.kit import BenchError
from bench.kit.mesh import Mesh
from services.orchestrator.adapters.retrieval_client import found
from services.orchestrator.domain.passage import Found

CALL_SECONDS = 30.0
INGEST_SECONDS = 600.0
MAX_CHARS = 8000
PAGE = 1000
MAX_CHUNK, MAX_MESSAGE = 1 << 20, 16 << 20


@dataclass(frozen=True, slots=True)
class Document:
    """A document to ingest."""

    id: str
    text: str | bytes
    media_type: str = "text/plain"


@dataclass(frozen=True, slots=True)
class Passage:
    """A passage of a document, with the headings above it."""

    id: str
    document_id: str
    headings: tuple[str, ...]
    text: str


@dataclass(frozen=True, slots=True)
class Quote:
    """A text that a run quotes, and where it is from."""

    text: str
    document_id: str
    passage_id: str


@dataclass(frozen=True, slots=True)
class RunAnswer:
    """What a run answered: its citations in order; none where it declined."""

    citations: tuple[Quote, ...]
    declined: bool

    @property
    def quotes(self) -> tuple[str, ...]:
        return tuple(quote.text for quote in self.citations)


class MeshClient:
    """The stubs, with the key."""

    def __init__(self, channel: grpc.aio.Channel, key: str) -> None:
        self._retrieval: Any = RetrievalServiceStub(channel)
        self._orchestrator: Any = OrchestratorServiceStub(channel)
        self._call: dict[str, Any] = {"metadata": (("authorization", f"Bearer {key}"),)}

    async def create(self, collection: str, max_chars: int = MAX_CHARS, embedder: str = "") -> None:
        """An empty collection with passages of at most `max_chars`."""
        settings = collection_pb2.PassageSettings(max_chars=max_chars)
        request = pb.CreateCollectionRequest(name=collection, passage_settings=settings, embedder=embedder)
        await self._retrieval.CreateCollection(request, timeout=CALL_SECONDS, **self._call)

    async def drop(self, collection: str) -> None:
        request = pb.DeleteCollectionRequest(name=collection)
        await self._retrieval.DeleteCollection(request, timeout=CALL_SECONDS, **self._call)

    async def replace(self, collection: str, max_chars: int = MAX_CHARS, embedder: str = "") -> None:
        """An empty collection, in the place of one of that name."""
        try:
            await self.drop(collection)
        except grpc.aio.AioRpcError as error:
            if error.code() != grpc.StatusCode.NOT_FOUND:
                raise
        await self.create(collection, max_chars, embedder)

    async def ingest(self, collection: str, documents: Iterable[Document]) -> pb.IngestSummary:
        """How it ended. Raises BenchError where a document fails."""
        summary, failures = await self.ingest_readable(collection, documents)
        for document, message in failures.items():
            raise BenchError(f"{document} was not ingested: {message}")
        return summary

    async def ingest_readable(
        self, collection: str, documents: Iterable[Document]
    ) -> tuple[pb.IngestSummary, dict[str, str]]:
        """How it ended, and why each document that failed did."""
        call = self._retrieval.Ingest(_requests(collection, documents), timeout=INGEST_SECONDS, **self._call)
        summary: pb.IngestSummary | None = None
        failures: dict[str, str] = {}
        async for response in call:
            if response.result.outcome == pb.DocumentResult.OUTCOME_FAILED:
                failures[response.result.document_id] = response.result.error_message
            if response.HasField("summary"):
                summary = response.summary
        if summary is None:
            raise BenchError("an ingestion ended without its summary")
        return summary, failures

    async def count(self, collection: str) -> int:
        """How many passages it holds."""
        listed = await self._retrieval.ListCollections(pb.ListCollectionsRequest(), timeout=CALL_SECONDS, **self._call)
        return next((one.passage_count for one in listed.collections if one.name == collection), 0)

    async def documents(self, collection: str) -> set[str]:
        """The ids of all documents."""
        ids: set[str] = set()
        request = pb.ListDocumentsRequest(collection=collection, page_size=PAGE)
        while True:
            page = await self._retrieval.ListDocuments(request, timeout=CALL_SECONDS, **self._call)
            ids |= {document.id for document in page.documents}
            if not page.next_page_token:
                return ids
            request.page_token = page.next_page_token

    async def passages(self, collection: str, document: str) -> Sequence[Passage]:
        """All passages of a document, in order."""
        request = pb.GetDocumentRequest(collection=collection, document_id=document, include_passages=True)
        response = await self._retrieval.GetDocument(request, timeout=CALL_SECONDS, **self._call)
        return [_passage(passage) for passage in response.passages]

    async def found(self, collection: str, query: str, limit: int) -> Found:
        """What agents are given of a search."""
        request = pb.SearchRequest(collection=collection, query=query, limit=limit, include_sentences=True)
        return found(await self._retrieval.Search(request, timeout=CALL_SECONDS, **self._call))

    async def search(
        self, collection: str, query: str, mode: pb.SearchMode.ValueType, limit: int, rerank: int = 0
    ) -> Sequence[Passage]:
        """The passages found, best first. Raises BenchError where they were to be reranked and were not."""
        request = pb.SearchRequest(collection=collection, query=query, mode=mode, limit=limit, rerank=rerank)
        response = await self._retrieval.Search(request, timeout=CALL_SECONDS, **self._call)
        if response.not_reranked:
            raise BenchError(f"the hits were not reranked: does the mesh serve a reranker? {query}")
        return [_passage(hit.passage) for hit in response.hits]

    async def ask(self, collection: str, question: str, max_sentences: int) -> RunAnswer:
        """One run to its end. Raises BenchError where it ends without an answer or a refusal."""
        message = run_pb2.Message(role=run_pb2.Message.ROLE_USER, content=question)
        request = run_service_pb.RunRequest(messages=[message], collection=collection, max_sentences=max_sentences)
        quotes: list[Quote] = []
        reason = run_pb2.FINISH_REASON_UNSPECIFIED
        async for response in self._orchestrator.Run(request, timeout=CALL_SECONDS, **self._call):
            for event in response.events:
                match event.WhichOneof("event"):
                    case "citation":
                        source = event.citation.citation
                        quotes.append(Quote(source.quote, source.document_id, source.passage_id))
                    case "finished":
                        reason = event.finished.reason
        if reason not in (run_pb2.FINISH_REASON_STOP, run_pb2.FINISH_REASON_NO_ANSWER):
            raise BenchError(f"a run ended with {run_pb2.FinishReason.Name(reason)}: {question}")
        return RunAnswer(tuple(quotes), reason == run_pb2.FINISH_REASON_NO_ANSWER)


@asynccontextmanager
async def client(mesh: Mesh) -> AsyncIterator[MeshClient]:
    """A client of the mesh. A call that fails raises BenchError."""
    options = [("grpc.max_receive_message_length", MAX_MESSAGE)]
    try:
        async with grpc.aio.insecure_channel(mesh.target, options=options) as channel:
            yield MeshClient(channel, mesh.key)
    except grpc.aio.AioRpcError as error:
        raise BenchError(f"a call of the mesh failed: {error.code().name}: {error.details()}") from error
    except BaseExceptionGroup as group:
        first = _first(group)
        if isinstance(first, grpc.aio.AioRpcError):
            raise BenchError(f"a call of the mesh failed: {first.code().name}: {first.details()}") from group
        raise first from group


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _passage(found: passage_pb2.Passage) -> Passage:
    return Passage(found.id, found.document_id, tuple(found.headings), found.text)


async def _requests(collection: str, documents: Iterable[Document]) -> AsyncIterator[pb.IngestRequest]:
    yield pb.IngestRequest(open=pb.IngestOpen(collection=collection))
    for document in documents:
        head = pb.IngestDocument(id=document.id, media_type=document.media_type)
        yield pb.IngestRequest(document=head)
        content = document.text if isinstance(document.text, bytes) else document.text.encode()
        for start in range(0, len(content), MAX_CHUNK):
            yield pb.IngestRequest(chunk=content[start : start + MAX_CHUNK])
        yield pb.IngestRequest(end=pb.IngestEnd())
