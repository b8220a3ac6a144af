"""The store over any engine: what documents and passages are as points, and the order in which they are written.

A document in parts is written so that a process killed at any moment leaves the old version or the new one whole: a
note that it is pending, the new passages, the record together with the last of them, and then what is stale goes,
with the note. What a dead process left of these in a collection is settled before the collection is used.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from services.retrieval.model import (
    READING,
    Candidates,
    Collection,
    CollectionKey,
    Document,
    Passage,
    PassageRecord,
    Sentences,
    StoreQuery,
)
from services.retrieval.store import codec
from services.retrieval.store.engine import About, Amend, Operation, Point, Remove, Upsert, VectorEngine, Where
from services.retrieval.store.leases import CollectionLeases
from services.runtime.errors import CollectionNotFound

_OUTDATED = Where([("kind", [codec.DOCUMENT])], [("reading", [READING])])


class PointStore:
    """A VectorStore."""

    def __init__(self, engine: VectorEngine) -> None:
        self._engine = engine
        self._unsettled: dict[CollectionKey, asyncio.Lock] = {}

    async def create(self, key: CollectionKey, max_chars: int) -> Collection:
        now = datetime.now(UTC)
        await self._engine.create(key, About(max_chars, now.timestamp()))
        return Collection(key.collection, max_chars, now)

    async def describe(self, key: CollectionKey) -> Collection:
        engine = await self._on(key)
        about = await engine.about(key)
        return Collection(
            name=key.collection,
            max_chars=about.max_chars,
            create_time=datetime.fromtimestamp(about.create_time, UTC),
            document_count=await engine.count(key, _of_kind(codec.DOCUMENT)),
            passage_count=await engine.count(key, _of_kind(codec.PASSAGE)),
            outdated_count=await engine.count(key, _OUTDATED),
        )

    async def collections(self, tenant: str) -> Sequence[str]:
        return await self._engine.names(tenant)

    async def drop(self, key: CollectionKey) -> None:
        await self._engine.drop(key)
        self._unsettled.pop(key, None)

    async def max_chars(self, key: CollectionKey) -> int:
        return (await (await self._on(key)).about(key)).max_chars

    async def begin(self, key: CollectionKey, document_id: str) -> None:
        note = Point(codec.pending_id(document_id), codec.pending_payload(document_id))
        await (await self._on(key)).apply(key, [Upsert([note])])

    async def write(self, key: CollectionKey, document: Document, entries: Sequence[PassageRecord]) -> None:
        await (await self._on(key)).apply(key, [Upsert([_passage(entry, document) for entry in entries])])

    async def commit(self, key: CollectionKey, document: Document, entries: Sequence[PassageRecord]) -> None:
        record = Point(codec.record_id(document.id), codec.document_payload(document))
        points = [*(_passage(entry, document) for entry in entries), record]
        await (await self._on(key)).apply(key, [Upsert(points), *_tidy(document.id, document.version)])

    async def settle(self, key: CollectionKey, document_id: str) -> None:
        await self._on(key)
        await self._settle(key, document_id)

    async def _settle(self, key: CollectionKey, document_id: str) -> None:
        found = await self._engine.retrieve(key, [codec.record_id(document_id)])
        await self._engine.apply(key, _tidy(document_id, found[0][1]["version"] if found else None))

    async def recover(self) -> None:
        """What a process that died left half done is settled where nobody else writes: in each collection when it is
        first used, for only then is it opened."""
        self._unsettled = {key: asyncio.Lock() for key in self._engine.owned()}

    async def _on(self, key: CollectionKey) -> VectorEngine:
        """The engine, with nothing left half done in the collection by a process that died."""
        lock = self._unsettled.get(key)
        if lock is not None:
            async with lock:
                if key in self._unsettled:
                    await self._settle_all(key)
                    self._unsettled.pop(key, None)
        return self._engine

    async def _settle_all(self, key: CollectionKey) -> None:
        left = Where([("kind", [codec.PENDING, codec.LEASE])])
        try:
            notes = await self._engine.scroll(key, left, only=["kind", "document_id"])
            for note, payload in notes:
                if payload["kind"] == codec.PENDING:
                    await self._settle(key, payload["document_id"])
                else:
                    await self._engine.apply(key, [Remove(ids=[note])])
        except CollectionNotFound:
            return

    async def relabel(self, key: CollectionKey, document: Document) -> None:
        everywhere = Where([("document_id", [document.id])])
        await self._engine.apply(
            key,
            [
                Amend(codec.label_payload(document), where=everywhere),
                Amend(codec.changing_payload(document), ids=[codec.record_id(document.id)]),
            ],
        )

    async def document(self, key: CollectionKey, document_id: str) -> Document | None:
        found = await (await self._on(key)).retrieve(key, [codec.record_id(document_id)])
        return codec.document_of(found[0][1]) if found else None

    async def document_ids(self, key: CollectionKey) -> Sequence[str]:
        found = await (await self._on(key)).scroll(key, _of_kind(codec.DOCUMENT), only=["document_id"])
        return sorted(payload["document_id"] for _, payload in found)

    async def documents(self, key: CollectionKey, document_ids: Sequence[str]) -> Sequence[Document]:
        found = await (await self._on(key)).retrieve(
            key, [codec.record_id(document_id) for document_id in document_ids]
        )
        records = {payload["document_id"]: codec.document_of(payload) for _, payload in found}
        return [records[document_id] for document_id in document_ids if document_id in records]

    async def passages(self, key: CollectionKey, document_id: str) -> Sequence[Passage]:
        record = await self.document(key, document_id)
        if record is None:
            return []
        where = Where(
            [("kind", [codec.PASSAGE]), ("document_id", [document_id]), ("version", [record.version])],
        )
        found = await (await self._on(key)).scroll(key, where, without=codec.SENTENCE_FIELDS)
        return codec.in_order([codec.passage_of(point_id, payload) for point_id, payload in found])

    async def update_times(self, key: CollectionKey) -> Mapping[str, datetime]:
        only = ["document_id", "update_time"]
        found = await (await self._on(key)).scroll(key, _of_kind(codec.DOCUMENT), only=only)
        return {payload["document_id"]: codec.time_of(payload) for _, payload in found}

    async def delete(self, key: CollectionKey, document_ids: Sequence[str]) -> None:
        await (await self._on(key)).apply(key, [Remove(where=Where([("document_id", document_ids)]))])

    async def delete_version(self, key: CollectionKey, document: Document) -> None:
        where = Where([("document_id", [document.id]), ("version", [document.version])])
        await (await self._on(key)).apply(key, [Remove(where=where)])

    async def lease(self, key: CollectionKey, holder: str, seconds: float) -> None:
        await CollectionLeases(await self._on(key)).take(key, holder, seconds)

    async def renew(self, key: CollectionKey, holder: str, seconds: float) -> None:
        await CollectionLeases(await self._on(key)).renew(key, holder, seconds)

    async def release(self, key: CollectionKey, holder: str) -> None:
        await CollectionLeases(await self._on(key)).release(key, holder)

    async def candidates(self, key: CollectionKey, probe: StoreQuery) -> Candidates:
        return await (await self._on(key)).query(key, probe)

    async def fetch(
        self, key: CollectionKey, passage_ids: Sequence[str], with_sentences: bool
    ) -> Mapping[str, tuple[Passage, Sentences | None]]:
        without = () if with_sentences else codec.SENTENCE_FIELDS
        found = await (await self._on(key)).retrieve(key, passage_ids, without)
        return {
            point_id: (codec.passage_of(point_id, payload), codec.sentences_of(payload) if with_sentences else None)
            for point_id, payload in found
        }

    async def rest(self, key: CollectionKey) -> None:
        await self._engine.rest(key)

    async def ready(self) -> bool:
        return await self._engine.ready()

    async def aclose(self) -> None:
        await self._engine.aclose()


def _of_kind(kind: str) -> Where:
    return Where([("kind", [kind])])


def _passage(entry: PassageRecord, document: Document) -> Point:
    payload = codec.passage_payload(entry, document.version, document.media_type, document.metadata)
    return Point(entry.passage.id, payload, entry.dense, entry.lexical)


def _tidy(document_id: str, version: str | None) -> list[Operation]:
    """Delete the document's passages but those of `version`, then the note."""
    own = [("kind", [codec.PASSAGE]), ("document_id", [document_id])]
    stale = Where(own, [("version", [version])] if version else ())
    return [Remove(where=stale), Remove(ids=[codec.pending_id(document_id)])]
