"""The store over any engine: what documents and passages are as points, and the order in which they are written.

A document in parts is written so that a process killed at any moment leaves the old version or the new one whole: a
note that it is pending, the new passages, the record together with the last of them, and then what is stale goes,
with the note. What a dead process left of these in a collection is settled before the collection is used.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime

from services.retrieval.errors import IndexRetired
from services.retrieval.model import (
    READING,
    Candidates,
    Collection,
    CollectionKey,
    Document,
    Groups,
    Index,
    Move,
    Passage,
    PassageRecord,
    Sentences,
    StoreQuery,
)
from services.retrieval.store import codec
from services.retrieval.store.base import Target
from services.retrieval.store.engine import (
    About,
    Amend,
    FieldTest,
    Operation,
    Point,
    Remove,
    Upsert,
    VectorEngine,
    Where,
)
from services.retrieval.store.freeze import Freezes
from services.retrieval.store.leases import CollectionLeases
from services.runtime.embedders import MINILM
from services.runtime.errors import CollectionNotFound


class PointStore:
    """A VectorStore."""

    def __init__(self, engine: VectorEngine) -> None:
        self._engine = engine
        self._freezes = Freezes()
        self._unsettled: dict[CollectionKey, asyncio.Lock] = {}

    async def create(self, key: CollectionKey, max_chars: int, embedder: str = MINILM.name) -> Collection:
        now = datetime.now(UTC)
        await self._engine.create(key, About(max_chars, now.timestamp(), embedders={0: embedder}))
        return Collection(key.collection, max_chars, now, embedder=embedder)

    async def describe(self, key: CollectionKey, groups: Groups = None) -> Collection:
        about = await self._engine.about(key)
        current = await self._settled(key.at(about.generation))
        return Collection(
            name=key.collection,
            max_chars=about.max_chars,
            create_time=datetime.fromtimestamp(about.create_time, UTC),
            document_count=await self._engine.count(current, codec.readable(groups, codec.DOCUMENT)),
            passage_count=await self._engine.count(current, codec.readable(groups, codec.PASSAGE)),
            embedder=about.embedders[about.generation],
            move=await self._move(key, about),
            outdated_count=await self._engine.count(current, _outdated(groups)),
        )

    async def _move(self, key: CollectionKey, about: About) -> Move | None:
        if about.next is None:
            return None
        return Move(about.embedders[about.next], await self._engine.count(key.at(about.next), _of_kind(codec.DOCUMENT)))

    async def collections(self, tenant: str) -> Sequence[str]:
        return await self._engine.names(tenant)

    async def drop(self, key: CollectionKey) -> None:
        await self._engine.drop(key)
        for known in [known for known in self._unsettled if known.whole == key]:
            del self._unsettled[known]

    async def current(self, key: CollectionKey) -> Index:
        about = await self._engine.about(key)
        return _index(key, about, about.generation)

    async def next(self, key: CollectionKey) -> Index | None:
        about = await self._engine.about(key)
        return None if about.next is None else _index(key, about, about.next)

    async def extend(self, key: CollectionKey, embedder: str) -> Index:
        about = await self._engine.extend(key, embedder)
        return _index(key, about, max(about.embedders))

    async def switch(self, index: Index) -> None:
        await self._engine.switch(index.key)

    def frozen(self, key: CollectionKey) -> AbstractAsyncContextManager[None]:
        return self._freezes.frozen(key)

    async def retired(self, key: CollectionKey) -> Sequence[Index]:
        about = await self._engine.about(key)
        return [_index(key, about, number) for number in about.embedders if number < about.generation]

    async def retire(self, index: Index) -> None:
        await self._engine.retire(index.key)
        self._unsettled.pop(index.key, None)

    async def moving(self) -> Sequence[CollectionKey]:
        return await self._engine.moving()

    async def begin(self, key: Target, document_id: str) -> None:
        note = Point(codec.pending_id(document_id), codec.pending_payload(document_id))
        await self._apply(key, [Upsert([note])])

    async def write(self, key: Target, document: Document, entries: Sequence[PassageRecord]) -> None:
        await self._apply(key, [Upsert([_passage(entry, document) for entry in entries])])

    async def commit(self, key: Target, document: Document, entries: Sequence[PassageRecord]) -> None:
        record = Point(codec.record_id(document.id), codec.document_payload(document))
        points = [*(_passage(entry, document) for entry in entries), record]
        await self._apply(key, [Upsert(points), *_tidy(document.id, document.version)])

    async def _apply(self, key: Target, operations: Sequence[Operation]) -> None:
        """Write to the generation that is searched while nobody makes that another one, or to one that is being made.
        Raises IndexRetired."""
        whole = key.key.whole if isinstance(key, Index) else key
        with _retired(key):
            if isinstance(key, Index) and key.key.generation > (await self._engine.about(whole)).generation:
                await self._engine.apply(await self._settled(key.key), operations)
                return
            async with self._freezes.writing(whole):
                at = await self._at(whole)
                if isinstance(key, Index) and key.key != at:
                    raise IndexRetired(whole.collection)
                await self._engine.apply(at, operations)

    async def _at(self, key: Target) -> CollectionKey:
        """The key of that generation, or of the one that is searched, with nothing left half done in it by a process
        that died."""
        if isinstance(key, Index):
            return await self._settled(key.key)
        return await self._settled(key.at((await self._engine.about(key)).generation))

    async def settle(self, key: Target, document_id: str) -> None:
        await self._settle(await self._at(key), document_id)

    async def _settle(self, key: CollectionKey, document_id: str) -> None:
        found = await self._engine.retrieve(key, [codec.record_id(document_id)])
        await self._engine.apply(key, _tidy(document_id, found[0][1]["version"] if found else None))

    async def recover(self) -> None:
        """What a process that died left half done is settled where nobody else writes: in each collection when it is
        first used, for only then is it opened."""
        self._unsettled = {key: asyncio.Lock() for key in await self._engine.owned()}

    async def _settled(self, key: CollectionKey) -> CollectionKey:
        """The same, with nothing left half done in it by a process that died."""
        lock = self._unsettled.get(key)
        if lock is not None:
            async with lock:
                if key in self._unsettled:
                    await self._settle_all(key)
                    self._unsettled.pop(key, None)
        return key

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
        await self._apply(
            key,
            [
                Amend(codec.label_payload(document), where=everywhere),
                Amend(codec.changing_payload(document), ids=[codec.record_id(document.id)]),
            ],
        )

    async def document(self, key: Target, document_id: str) -> Document | None:
        found = await self._engine.retrieve(await self._at(key), [codec.record_id(document_id)])
        return codec.document_of(found[0][1]) if found else None

    async def document_ids(self, key: Target, groups: Groups = None) -> Sequence[str]:
        where = codec.readable(groups, codec.DOCUMENT)
        found = await self._engine.scroll(await self._at(key), where, only=["document_id"])
        return sorted(payload["document_id"] for _, payload in found)

    async def documents(self, key: Target, document_ids: Sequence[str]) -> Sequence[Document]:
        found = await self._engine.retrieve(
            await self._at(key), [codec.record_id(document_id) for document_id in document_ids]
        )
        records = {payload["document_id"]: codec.document_of(payload) for _, payload in found}
        return [records[document_id] for document_id in document_ids if document_id in records]

    async def passages(self, key: Target, document_id: str) -> Sequence[Passage]:
        record = await self.document(key, document_id)
        if record is None:
            return []
        where = Where(
            [("kind", [codec.PASSAGE]), ("document_id", [document_id]), ("version", [record.version])],
        )
        found = await self._engine.scroll(await self._at(key), where, without=codec.SENTENCE_FIELDS)
        return codec.in_order([codec.passage_of(point_id, payload) for point_id, payload in found])

    async def update_times(self, key: Target, groups: Groups = None) -> Mapping[str, datetime]:
        only = ["document_id", "update_time"]
        found = await self._engine.scroll(await self._at(key), codec.readable(groups, codec.DOCUMENT), only=only)
        return {payload["document_id"]: codec.time_of(payload) for _, payload in found}

    async def delete(self, key: Target, document_ids: Sequence[str]) -> None:
        await self._apply(key, [Remove(where=Where([("document_id", document_ids)]))])

    async def delete_version(self, key: CollectionKey, document: Document) -> None:
        where = Where([("document_id", [document.id]), ("version", [document.version])])
        await self._apply(key, [Remove(where=where)])

    async def lease(self, key: Target, holder: str, seconds: float) -> None:
        await CollectionLeases(self._engine).take(await self._at(key), holder, seconds)

    async def renew(self, key: Target, holder: str, seconds: float) -> None:
        await CollectionLeases(self._engine).renew(await self._at(key), holder, seconds)

    async def release(self, key: Target, holder: str) -> None:
        await CollectionLeases(self._engine).release(await self._at(key), holder)

    async def candidates(self, key: Target, probe: StoreQuery) -> Candidates:
        with _retired(key):
            return await self._engine.query(await self._at(key), probe)

    async def fetch(
        self, key: Target, passage_ids: Sequence[str], with_sentences: bool
    ) -> Mapping[str, tuple[Passage, Sentences | None]]:
        without = () if with_sentences else codec.SENTENCE_FIELDS
        with _retired(key):
            found = await self._engine.retrieve(await self._at(key), passage_ids, without)
        return {
            point_id: (codec.passage_of(point_id, payload), codec.sentences_of(payload) if with_sentences else None)
            for point_id, payload in found
        }

    async def rest(self, key: Target) -> None:
        await self._engine.rest(key.key if isinstance(key, Index) else await self._at(key))

    async def ready(self) -> bool:
        return await self._engine.ready()

    async def aclose(self) -> None:
        await self._engine.aclose()


def _outdated(groups: Groups) -> Where:
    """Documents that were read in another way than now."""
    return replace(codec.readable(groups, codec.DOCUMENT), none_of=[("reading", [READING])])


def _index(key: CollectionKey, about: About, generation: int) -> Index:
    return Index(key.at(generation), about.embedders[generation], about.max_chars)


@contextmanager
def _retired(key: Target) -> Iterator[None]:
    """A generation that is gone is no collection that is gone."""
    try:
        yield
    except CollectionNotFound as error:
        if isinstance(key, Index):
            raise IndexRetired(key.key.collection) from error
        raise


def _of_kind(kind: str) -> Where:
    return Where([("kind", [kind])])


def _passage(entry: PassageRecord, document: Document) -> Point:
    return Point(entry.passage.id, codec.passage_payload(entry, document), entry.dense, entry.lexical)


def _tidy(document_id: str, version: str | None) -> list[Operation]:
    """Delete the document's passages but those of `version`, then the note."""
    own: list[FieldTest] = [("kind", [codec.PASSAGE]), ("document_id", [document_id])]
    stale = Where(own, [("version", [version])] if version else ())
    return [Remove(where=stale), Remove(ids=[codec.pending_id(document_id)])]
