"""An ingestion: the client's stream in, results out, with so much under way at once and no more."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count

from services.retrieval import metrics, names
from services.retrieval.errors import CollectionExists, DocumentError, DocumentTooLarge, TooManyIngests
from services.retrieval.ingest import media
from services.retrieval.ingest.deletion import Deletion
from services.retrieval.ingest.messages import (
    DocumentChunk,
    DocumentHead,
    DocumentOutcome,
    End,
    Event,
    Gone,
    IngestSummary,
    Message,
    Open,
    Result,
)
from services.retrieval.ingest.writer import CollectionWriter, WriteTarget
from services.retrieval.model import DEFAULT_MAX_CHARS, CollectionKey
from services.retrieval.store.base import VectorStore
from services.runtime.embedders import MINILM
from services.runtime.errors import CollectionNotFound, InvalidArgument
from services.runtime.fairness import FairLimit

MAX_CHUNK = 1 << 20
EVENTS = 64


@dataclass(frozen=True, slots=True)
class IngestLimits:
    """Bytes of one document; bytes held by all ingestions; documents under way in one; ingestions."""

    document_bytes: int
    bytes_in_flight: int
    documents_in_flight: int
    ingests: int


@dataclass(slots=True)
class _Receiving:
    """The document whose bytes are coming in. `result` is set where it is done before they have."""

    head: DocumentHead
    result: Result | None = None
    data: bytearray = field(default_factory=bytearray)


class Ingestion:
    """Serves ingestions; `embedder` is that of collections made on the way."""

    def __init__(
        self, store: VectorStore, writer: CollectionWriter, limits: IngestLimits, embedder: str = MINILM.name
    ) -> None:
        self._store = store
        self._writer = writer
        self._limits = limits
        self._embedder = embedder
        self._bytes = FairLimit(limits.bytes_in_flight, spare=True)
        self._places = FairLimit(limits.ingests, spare=True)
        self._streams = count()

    async def run(self, tenant: str, messages: AsyncIterator[Message]) -> AsyncGenerator[Event, None]:
        """The events of one ingestion, the summary last. Raises InvalidArgument where the protocol is broken.

        Closing the iterator stops the work; nothing goes on behind it.
        """
        if not self._places.take((tenant,)):
            raise TooManyIngests(self._places.used, self._limits.ingests)
        events: asyncio.Queue[Event | None] = asyncio.Queue(EVENTS)
        stream = _Stream(
            self._store, self._writer, self._limits, self._bytes, events, next(self._streams), self._embedder
        )
        work = asyncio.create_task(stream.work(tenant, messages))
        try:
            while (event := await events.get()) is not None:
                yield event
            await work
        finally:
            work.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await work
            self._places.release((tenant,))


class _Stream:
    """One client's stream."""

    def __init__(
        self,
        store: VectorStore,
        writer: CollectionWriter,
        limits: IngestLimits,
        budget: FairLimit,
        events: asyncio.Queue[Event | None],
        number: int,
        embedder: str,
    ) -> None:
        self._embedder = embedder
        self._store = store
        self._writer = writer
        self._limits = limits
        self._bytes = budget
        self._number = number
        self._slots = asyncio.Semaphore(limits.documents_in_flight)
        self._events = events
        self._named: set[str] = set()
        self._outcomes: Counter[DocumentOutcome] = Counter()
        self._passages = 0

    async def work(self, tenant: str, messages: AsyncIterator[Message]) -> None:
        """Everything, from the first message to the summary; None in `events` follows the last event."""
        try:
            await self._work(tenant, messages)
        except Exception as error:
            await self._events.put(None)
            raise _first(error) from error
        await self._events.put(None)

    async def _work(self, tenant: str, messages: AsyncIterator[Message]) -> None:
        opening = await anext(messages, None)
        if not isinstance(opening, Open):
            raise InvalidArgument("the first message of an ingestion is `open`")
        if opening.delete_missing and opening.delete_gone:
            raise InvalidArgument("delete_missing and delete_gone exclude each other")
        target = await self._target(tenant, opening)
        deletion = Deletion(self._store, self._writer, target.key)
        async with deletion.alone() if opening.delete_missing or opening.delete_gone else nullcontext():
            if opening.delete_missing:
                deletion.doomed.update(await self._store.update_times(target.key))
            async with asyncio.TaskGroup() as tasks:
                await self._receive(target, messages, tasks, deletion.doomed if opening.delete_gone else None)
            deleted = await deletion.carry_out(self._named)
        await self._store.rest(target.key)
        await self._events.put(IngestSummary(self._outcomes, deleted, self._passages))

    async def _target(self, tenant: str, opening: Open) -> WriteTarget:
        key = CollectionKey(tenant, names.collection_name(opening.collection))
        try:
            return WriteTarget(key, (await self._store.current(key)).max_chars, self._number)
        except CollectionNotFound:
            if not opening.create_collection:
                raise
        with suppress(CollectionExists):
            await self._store.create(key, DEFAULT_MAX_CHARS, self._embedder)
        return WriteTarget(key, (await self._store.current(key)).max_chars, self._number)

    async def _receive(
        self, target: WriteTarget, messages: AsyncIterator[Message], tasks: asyncio.TaskGroup,
        gone: dict[str, datetime] | None,
    ) -> None:  # fmt: skip
        receiving: _Receiving | None = None
        async for message in messages:
            match message, receiving:
                case DocumentHead(), None:
                    receiving = await self._begin(target, message)
                case DocumentChunk(data), _Receiving():
                    self._take(receiving, data)
                case End(), _Receiving():
                    await self._end(target, receiving, tasks)
                    receiving = None
                case Gone(document_id, update_time), None if gone is not None:
                    gone[document_id] = update_time
                case _:
                    raise InvalidArgument(f"`{type(message).__name__.lower()}` is out of order in this ingestion")
        if receiving:
            raise InvalidArgument(f"the stream ended within the document {receiving.head.id!r}")

    async def _begin(self, target: WriteTarget, head: DocumentHead) -> _Receiving:
        """Refuse what is refused without its bytes, and answer what is known without them."""
        receiving = _Receiving(head)
        self._named.add(head.id)
        try:
            names.check_document(head.id, head.uri, head.title, head.content_hash)
            names.check_metadata(head.metadata)
            media.media_type_of(head.media_type, head.id)
            receiving.result = await self._writer.unchanged(target, head)
        except DocumentError as error:
            receiving.result = _failed(head, error)
        if receiving.result:
            await self._finish(receiving.result)
        return receiving

    def _take(self, receiving: _Receiving, data: bytes) -> None:
        if len(data) > MAX_CHUNK:
            raise InvalidArgument(f"a chunk has at most {MAX_CHUNK} bytes")
        if receiving.result:
            return
        receiving.data += data
        if len(receiving.data) > self._limits.document_bytes:
            receiving.data = bytearray()
            receiving.result = _failed(receiving.head, DocumentTooLarge(self._limits.document_bytes))

    async def _end(self, target: WriteTarget, receiving: _Receiving, tasks: asyncio.TaskGroup) -> None:
        if receiving.result:
            if receiving.result.error_reason == DocumentTooLarge.reason:
                await self._finish(receiving.result)
            return
        data = bytes(receiving.data)
        await self._slots.acquire()
        try:
            await self._bytes.acquire(target.owner, len(data))
        except asyncio.CancelledError:
            self._slots.release()
            raise
        tasks.create_task(self._write(target, receiving.head, data))

    async def _write(self, target: WriteTarget, head: DocumentHead, data: bytes) -> None:
        try:
            result = await self._writer.write(target, head, data, self._events.put)
        except DocumentError as error:
            result = _failed(head, error)
        finally:
            self._bytes.release(target.owner, len(data))
            self._slots.release()
        await self._finish(result)

    async def _finish(self, result: Result) -> None:
        self._outcomes[result.outcome] += 1
        if result.outcome in (DocumentOutcome.CREATED, DocumentOutcome.REPLACED):
            self._passages += result.passage_count
        metrics.DOCUMENTS.labels(result.outcome.value, result.error_reason).inc()
        await self._events.put(result)


def _failed(head: DocumentHead, error: DocumentError) -> Result:
    return Result(head.id, DocumentOutcome.FAILED, error_reason=error.reason, error_message=error.message)


def _first(error: BaseException) -> BaseException:
    """What went wrong first, out of its groups."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
