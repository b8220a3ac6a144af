"""Vector stores: collections with a name, and with files that are ingested in the background."""

import asyncio
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from services.retrieval import names
from services.retrieval.errors import (
    CollectionBroken,
    DocumentIdTaken,
    FileBatchNotFound,
    FileNotFound,
    OutsideAccessGroups,
    StoreFull,
)
from services.retrieval.files.model import Owner, PageOf
from services.retrieval.files.records import FileRecords
from services.retrieval.ingest.writer import CollectionWriter
from services.retrieval.model import DEFAULT_MAX_CHARS, Caller, Collection, CollectionKey, SearchRequest, may_read
from services.retrieval.search.service import Search
from services.retrieval.store.base import VectorStore
from services.retrieval.vector_stores.model import (
    AddedFile,
    AddedFiles,
    AttachedFile,
    Attribute,
    FileBatch,
    FileCounts,
    FileStatus,
    Source,
    StoreHits,
    StoreOverview,
    StoreRecord,
    metadata_of,
)
from services.retrieval.vector_stores.records import StoreRecords
from services.runtime.errors import CollectionNotFound, InvalidArgument
from services.runtime.labels import RESERVED

MOST_FILES = 500
DESCRIBED_AT_ONCE = 8
MOST_NOTES = 16
LONGEST_NAME = 256
LONGEST_KEY = 64
LONGEST_VALUE = 512


@dataclass(frozen=True, slots=True)
class Engines:
    """What a vector store is made of; `embedder` is the one of those that are made here."""

    store: VectorStore
    writer: CollectionWriter
    search: Search
    embedder: str


class VectorStores:
    """Serves them. `wake` is called when there is something to ingest.

    Every method raises CollectionNotFound for a vector store that there is not, and what the store and the records do.
    """

    def __init__(self, engines: Engines, records: StoreRecords, files: FileRecords, wake: Callable[[], None]) -> None:
        self._store = engines.store
        self._writer = engines.writer
        self._search = engines.search
        self._embedder = engines.embedder
        self._records = records
        self._files = files
        self._wake = wake

    async def create(self, caller: Caller, name: str, notes: Mapping[str, str]) -> StoreOverview:
        """An empty one."""
        record = StoreRecord(_name(name), _notes(notes))
        key = CollectionKey(caller.tenant, f"vs_{uuid.uuid4().hex}")
        created = await self._store.create(key, DEFAULT_MAX_CHARS, self._embedder)
        await self._records.put_record(key, record)
        return StoreOverview(key.collection, record, created.create_time, FileCounts())

    async def get(self, caller: Caller, store: str) -> StoreOverview:
        """How it stands, as far as the caller may see."""
        (found,) = await self._overviews(caller, [await self._store.describe(_key(caller, store), caller.groups)])
        return found

    async def list(self, caller: Caller, page: PageOf) -> tuple[Sequence[StoreOverview], bool]:
        """A page by id, and whether there are more behind it. One that cannot be read is left out."""
        ids = sorted(await self._store.collections(caller.tenant), reverse=not page.ascending)
        if page.after:
            ids = [one for one in ids if (one > page.after if page.ascending else one < page.after)]
        at_once = asyncio.Semaphore(DESCRIBED_AT_ONCE)
        found = await asyncio.gather(*(self._if_there(caller, one, at_once) for one in ids[: page.size]))
        return await self._overviews(caller, [one for one in found if one]), len(ids) > page.size

    async def _if_there(self, caller: Caller, store: str, at_once: asyncio.Semaphore) -> Collection | None:
        try:
            async with at_once:
                return await self._store.describe(_key(caller, store), caller.groups)
        except (CollectionNotFound, CollectionBroken, StoreFull):
            return None

    async def _overviews(self, caller: Caller, collections: Sequence[Collection]) -> Sequence[StoreOverview]:
        stores = [one.name for one in collections]
        records = await self._records.records(caller.tenant, stores)
        files = await self._records.counts(caller.tenant, stores, caller.groups)
        return [_overview(one, records.get(one.name), files[one.name]) for one in collections]

    async def update(
        self, caller: Caller, store: str, name: str | None, notes: Mapping[str, str] | None
    ) -> StoreOverview:
        """Change its name, its notes, or both."""
        before = await self.get(caller, store)
        record = StoreRecord(
            before.record.name if name is None else _name(name), before.record.notes if notes is None else _notes(notes)
        )
        await self._records.put_record(_key(caller, store), record)
        return replace(before, record=record)

    async def delete(self, caller: Caller, store: str) -> None:
        """Delete the collection with all that is known of it as a vector store. What is known goes first: asking again
        does the rest."""
        key = _key(caller, store)
        await self._records.forget(key)
        await self._store.drop(key)

    async def add(
        self, caller: Caller, owner: Owner, store: str, added: Sequence[AddedFile], as_batch: bool
    ) -> AddedFiles:
        """Put files into it. Raises FileNotFound, OutsideAccessGroups, InvalidArgument; then none is put in."""
        key = _key(caller, store)
        await self._store.current(key)
        ids = [one.file_id for one in added]
        if not 1 <= len(ids) <= MOST_FILES or len(set(ids)) < len(ids):
            raise InvalidArgument(f"1 to {MOST_FILES} files are put into a vector store at once, each named once")
        there = await self._records.find(key, ids)
        files = await self._files.find(owner, ids)
        now = time.time()
        counts = FileCounts({FileStatus.IN_PROGRESS: len(ids)})
        batch = FileBatch(f"vsfb_{uuid.uuid4().hex}", store, now, False, counts) if as_batch else None
        rows: list[AttachedFile] = []
        for one in added:
            _check(caller, one)
            if one.file_id not in files:
                raise FileNotFound(one.file_id)
            if (known := there.get(one.file_id)) and not may_read(known.access_groups, caller.groups):
                raise DocumentIdTaken(one.file_id)
            file = files[one.file_id]
            rows.append(
                AttachedFile(
                    caller.tenant, store, file.id, file.filename, file.size, one.attributes, one.access_groups,
                    caller.groups, now, batch.id if batch else "", due=now,
                )
            )  # fmt: skip
        await self._records.attach(rows, batch)
        self._wake()
        return AddedFiles(rows, batch)

    async def get_file(self, caller: Caller, store: str, file_id: str) -> AttachedFile:
        """Raises FileNotFound, also for one that the caller may not read."""
        key = _key(caller, store)
        await self._store.current(key)
        file = (await self._records.find(key, [file_id])).get(file_id)
        if file is None or not may_read(file.access_groups, caller.groups):
            raise FileNotFound(file_id)
        return file

    async def list_files(
        self, caller: Caller, store: str, page: PageOf, status: FileStatus | None, batch: str
    ) -> tuple[Sequence[AttachedFile], bool]:
        """A page, and whether there are more behind it. Raises FileBatchNotFound."""
        key = _key(caller, store)
        await self._store.current(key)
        if batch:
            await self._batch(caller, key, batch)
        found = await self._records.list(key, caller.groups, page, status, batch)
        return found[: page.size], len(found) > page.size

    async def update_file(
        self, caller: Caller, store: str, file_id: str, attributes: Mapping[str, Attribute]
    ) -> AttachedFile:
        """Give it other attributes. Raises FileNotFound."""
        file = replace(await self.get_file(caller, store, file_id), attributes=attributes)
        _check(caller, AddedFile(file_id, attributes, file.access_groups))
        await self._records.set_attributes(file)
        await self._writer.set_metadata(_key(caller, store), file_id, metadata_of(attributes))
        return file

    async def delete_file(self, caller: Caller, store: str, file_id: str) -> None:
        """Take it out. Raises FileNotFound."""
        await self.get_file(caller, store, file_id)
        key = _key(caller, store)
        await self._records.detach(key, file_id)
        await self._writer.delete(key, file_id)

    async def get_batch(self, caller: Caller, store: str, batch_id: str) -> FileBatch:
        """Raises FileBatchNotFound."""
        key = _key(caller, store)
        await self._store.current(key)
        batch = await self._batch(caller, key, batch_id)
        counts = await self._records.counts(caller.tenant, [store], caller.groups, batch_id)
        return replace(batch, files=counts[store])

    async def cancel_batch(self, caller: Caller, store: str, batch_id: str) -> FileBatch:
        """Take back those of its files that are not in yet and that the caller may read; a document that was there
        before stays. Raises FileBatchNotFound."""
        key = _key(caller, store)
        await self._store.current(key)
        await self._batch(caller, key, batch_id)
        await self._records.cancel(key, batch_id, caller.groups)
        return await self.get_batch(caller, store, batch_id)

    async def _batch(self, caller: Caller, key: CollectionKey, batch_id: str) -> FileBatch:
        batch = await self._records.batch(key, batch_id, caller.groups)
        if batch is None:
            raise FileBatchNotFound(batch_id)
        return batch

    async def search(self, caller: Caller, request: SearchRequest) -> StoreHits:
        """See Search."""
        result = await self._search.search(caller, request)
        key = CollectionKey(caller.tenant, request.collection)
        ids = list({hit.passage.document_id for hit in result.hits})
        files = await self._records.find(key, ids)
        sources = {name: Source(file.filename, file.attributes) for name, file in files.items()}
        for document in await self._store.documents(key, [one for one in ids if one not in files]):
            sources[document.id] = Source(document.title, document.metadata)
        return StoreHits(result, sources)


def _key(caller: Caller, store: str) -> CollectionKey:
    return CollectionKey(caller.tenant, names.collection_name(store))


def _overview(collection: Collection, record: StoreRecord | None, files: FileCounts) -> StoreOverview:
    counts = {**files.counts, FileStatus.COMPLETED: collection.document_count}
    record = record or StoreRecord(collection.name, {})
    return StoreOverview(collection.name, record, collection.create_time, replace(files, counts=counts))


def _check(caller: Caller, file: AddedFile) -> None:
    """Raises InvalidArgument, DocumentInvalid, OutsideAccessGroups."""
    if len(file.attributes) > MOST_NOTES:
        raise InvalidArgument(f"a file has at most {MOST_NOTES} attributes", field="attributes")
    if own := next((key for key in file.attributes if key.startswith(RESERVED)), None):
        raise InvalidArgument(
            f"the attribute {own!r} is none to give: what begins with {RESERVED} is Headworks' own",
            field=f"attributes.{own}",
        )
    names.check_metadata(metadata_of(file.attributes))
    names.check_groups(file.access_groups)
    if not may_read(file.access_groups, caller.groups):
        raise OutsideAccessGroups


def _name(name: str) -> str:
    if len(name) > LONGEST_NAME or "\0" in name:
        raise InvalidArgument(f"a vector store's name has at most {LONGEST_NAME} characters", field="name")
    return name


def _notes(notes: Mapping[str, str]) -> dict[str, str]:
    long = any(len(key) > LONGEST_KEY or len(value) > LONGEST_VALUE for key, value in notes.items())
    if len(notes) > MOST_NOTES or long:
        raise InvalidArgument(
            f"metadata has at most {MOST_NOTES} entries, of {LONGEST_KEY} characters to {LONGEST_VALUE}",
            field="metadata",
        )
    return dict(notes)
