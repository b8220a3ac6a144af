"""Where it is kept which files are in which vector store, and how they stand."""

import json
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.retrieval.files.model import PageOf
from services.retrieval.files.records import not_in_list, paged
from services.retrieval.model import CollectionKey, Groups, may_read
from services.retrieval.schema.tables import ATTACHED_FILES, FILE_BATCHES, STORE_RECORDS
from services.retrieval.vector_stores.model import (
    AttachedFile,
    FileBatch,
    FileCounts,
    FileStatus,
    StoreRecord,
)
from services.runtime.records.database import Database
from services.runtime.records.upsert import upsert

_JSON = ("attributes", "access_groups", "caller_groups")
_KEYS = ("tenant", "store", "file")


class StoreRecords:
    """All raise RecordsUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put_record(self, key: CollectionKey, record: StoreRecord) -> None:
        """What the vector store is called, and what is noted of it, from now on."""
        row = {"name": record.name, "notes": json.dumps(dict(record.notes))}
        made = upsert(STORE_RECORDS).values(tenant=key.tenant, store=key.collection, **row)
        async with self._database.write() as connection:
            await connection.execute(made.on_conflict_do_update(index_elements=["tenant", "store"], set_=row))

    async def records(self, tenant: str, stores: Sequence[str]) -> dict[str, StoreRecord]:
        """Those that there are, by collection."""
        table = STORE_RECORDS
        query = select(table).where(table.c.tenant == tenant, table.c.store.in_(stores))
        async with self._database.read() as connection:
            rows = await connection.execute(query)
            return {row.store: StoreRecord(row.name, json.loads(row.notes)) for row in rows}

    async def forget(self, key: CollectionKey) -> None:
        """The collection is gone."""
        async with self._database.write() as connection:
            for table in (STORE_RECORDS, ATTACHED_FILES, FILE_BATCHES):
                mine = and_(table.c.tenant == key.tenant, table.c.store == key.collection)
                await connection.execute(delete(table).where(mine))

    async def attach(self, files: Sequence[AttachedFile], batch: FileBatch | None) -> None:
        """Put the files into their vector store, in the place of what there was of them."""
        async with self._database.write() as connection:
            if batch is not None:
                row = {"id": batch.id, "store": batch.store, "created": batch.created}
                await connection.execute(insert(FILE_BATCHES).values(tenant=files[0].tenant, cancelled=0, **row))
            for file in files:
                row = _row(file)
                made = upsert(ATTACHED_FILES).values(**row)
                await connection.execute(made.on_conflict_do_update(index_elements=list(_KEYS), set_=row))

    async def find(self, key: CollectionKey, file_ids: Sequence[str]) -> dict[str, AttachedFile]:
        """Those of the files that are in the vector store, by id."""
        async with self._database.read() as connection:
            query = select(ATTACHED_FILES).where(_in(key), ATTACHED_FILES.c.file.in_(file_ids))
            return {row.file: _attached(row) for row in await connection.execute(query)}

    async def list(
        self, key: CollectionKey, groups: Groups, page: PageOf, status: FileStatus | None, batch: str
    ) -> Sequence[AttachedFile]:
        """What a caller of these groups may read; one more than the page has where there are more. Raises
        InvalidArgument where `after` names nothing of it."""
        last = (await self.find(key, [page.after])).get(page.after) if page.after else None
        if last and not may_read(last.access_groups, groups):
            raise not_in_list()
        found: list[AttachedFile] = []
        while len(found) <= page.size:
            rows = await self._rows(key, page, status, batch)
            found += [row for row in rows if may_read(row.access_groups, groups)]
            if len(rows) <= page.size:
                break
            page = PageOf(page.size, rows[-1].file, page.ascending)
        return found

    async def _rows(
        self, key: CollectionKey, page: PageOf, status: FileStatus | None, batch: str
    ) -> Sequence[AttachedFile]:
        table = ATTACHED_FILES
        only = [table.c.status == status] if status is not None else []
        if batch:
            only.append(table.c.batch == batch)
        async with self._database.read() as connection:
            return [_attached(row) for row in await paged(connection, table.c.file, page, _in(key), only)]

    async def counts(
        self, tenant: str, stores: Sequence[str], groups: Groups, batch: str = ""
    ) -> dict[str, FileCounts]:
        """Of what a caller of these groups may read, by vector store; of one batch, if that is named."""
        table = ATTACHED_FILES
        kind = (table.c.store, table.c.status, table.c.access_groups)
        query = select(*kind, func.count(), func.sum(table.c.size)).group_by(*kind)
        query = query.where(table.c.tenant == tenant, table.c.store.in_(stores))
        counts: dict[str, Counter[FileStatus]] = {store: Counter() for store in stores}
        usage: Counter[str] = Counter()
        async with self._database.read() as connection:
            rows = await connection.execute(query.where(table.c.batch == batch) if batch else query)
            for store, status, access_groups, files, size in rows:
                if may_read(json.loads(access_groups), groups):
                    counts[store][FileStatus(status)] += files
                    usage[store] += int(size) if status == FileStatus.COMPLETED else 0
        return {store: FileCounts(counts[store], usage[store]) for store in stores}

    async def set_attributes(self, file: AttachedFile) -> None:
        """The file has these attributes from now on."""
        async with self._database.write() as connection:
            values = {"attributes": json.dumps(dict(file.attributes))}
            await connection.execute(update(ATTACHED_FILES).where(_is(file)).values(values))

    async def detach(self, key: CollectionKey, file_id: str) -> None:
        """The file is not in the vector store any more."""
        async with self._database.write() as connection:
            await connection.execute(delete(ATTACHED_FILES).where(_in(key), ATTACHED_FILES.c.file == file_id))

    async def batch(self, key: CollectionKey, batch_id: str, groups: Groups) -> FileBatch | None:
        """The batch, without its counts; None where there is none, and where it has files of which a caller of these
        groups may read none."""
        table = FILE_BATCHES
        mine = and_(table.c.tenant == key.tenant, table.c.store == key.collection, table.c.id == batch_id)
        lists = select(ATTACHED_FILES.c.access_groups).where(_in(key), ATTACHED_FILES.c.batch == batch_id).distinct()
        async with self._database.read() as connection:
            row = (await connection.execute(select(table).where(mine))).one_or_none()
            access = [json.loads(each) for each in await connection.scalars(lists)] if row else []
        if access and not any(may_read(each, groups) for each in access):
            return None
        return FileBatch(row.id, row.store, row.created, bool(row.cancelled), FileCounts()) if row else None

    async def cancel(self, key: CollectionKey, batch_id: str, groups: Groups) -> None:
        """Take back what of the batch is in progress and a caller of these groups may read; the batch is cancelled
        where there was something."""
        table = ATTACHED_FILES
        waiting = and_(_in(key), table.c.batch == batch_id, table.c.status == FileStatus.IN_PROGRESS)
        async with self._database.write() as connection:
            rows = (await connection.execute(select(table.c.file, table.c.access_groups).where(waiting))).all()
            files = [file for file, access_groups in rows if may_read(json.loads(access_groups), groups)]
            if files:
                taken = update(table).where(waiting, table.c.file.in_(files)).values(status=FileStatus.CANCELLED)
                await connection.execute(taken)
                await connection.execute(update(FILE_BATCHES).where(FILE_BATCHES.c.id == batch_id).values(cancelled=1))

    async def due(self, limit: int) -> Sequence[AttachedFile]:
        """Files to ingest now, those first that have waited for longest."""
        table = ATTACHED_FILES
        ready = and_(table.c.status == FileStatus.IN_PROGRESS, table.c.due <= time.time())
        async with self._database.read() as connection:
            rows = await connection.execute(select(table).where(ready).order_by(table.c.due).limit(limit))
            return [_attached(row) for row in rows]

    async def settle(self, file: AttachedFile, status: FileStatus, reason: str = "", message: str = "") -> bool:
        """How an ingestion has ended. False where the file was taken back meanwhile, put there anew, or given other
        attributes, with which it is to be ingested anew."""
        return await self._change(file, status=status, error_reason=reason, error_message=message)

    async def postpone(self, files: Iterable[AttachedFile], seconds: float) -> None:
        """Try again later."""
        for file in files:
            await self._change(file, attempts=file.attempts + 1, due=time.time() + seconds)

    async def _change(self, file: AttachedFile, **values: object) -> bool:
        same = and_(
            ATTACHED_FILES.c.created == file.created,
            ATTACHED_FILES.c.status == FileStatus.IN_PROGRESS,
            ATTACHED_FILES.c.attributes == json.dumps(dict(file.attributes)),
        )
        async with self._database.write() as connection:
            return await _updated(connection, and_(_is(file), same), values)


async def _updated(connection: AsyncConnection, which: ColumnElement[bool], values: dict[str, Any]) -> bool:
    return bool((await connection.execute(update(ATTACHED_FILES).where(which).values(**values))).rowcount)


def _in(key: CollectionKey) -> ColumnElement[bool]:
    return and_(ATTACHED_FILES.c.tenant == key.tenant, ATTACHED_FILES.c.store == key.collection)


def _is(file: AttachedFile) -> ColumnElement[bool]:
    return and_(_in(CollectionKey(file.tenant, file.store)), ATTACHED_FILES.c.file == file.file)


def _row(file: AttachedFile) -> dict[str, Any]:
    row = asdict(file)
    return row | {name: json.dumps(row[name]) for name in _JSON}


def _attached(row: Row[Any]) -> AttachedFile:
    groups = json.loads(row.caller_groups)
    return AttachedFile(
        tenant=row.tenant,
        store=row.store,
        file=row.file,
        filename=row.filename,
        size=row.size,
        attributes=json.loads(row.attributes),
        access_groups=tuple(json.loads(row.access_groups)),
        caller_groups=None if groups is None else tuple(groups),
        created=row.created,
        batch=row.batch,
        status=FileStatus(row.status),
        error_reason=row.error_reason,
        error_message=row.error_message,
        attempts=row.attempts,
        due=row.due,
    )
