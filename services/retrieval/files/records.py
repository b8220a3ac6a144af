"""Where files are kept: a record for each, and its bytes in parts beside it."""

import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Column, ColumnElement, Row, and_, delete, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.retrieval.files.model import Owner, PageOf, StoredFile
from services.retrieval.schema.tables import FILE_PARTS, FILES
from services.runtime.errors import InvalidArgument
from services.runtime.records.database import Database

ABANDONED_SECONDS = 86_400.0
_READY = FILES.c.ready == 1


class FileRecords:
    """All raise RecordsUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(self, file: StoredFile) -> None:
        """Make the record of a file whose bytes are to come; nobody sees it until `finish`."""
        async with self._database.write() as connection:
            await connection.execute(insert(FILES).values(**asdict(file), ready=0))

    async def append(self, file_id: str, number: int, data: bytes) -> None:
        """Add the part of this number."""
        async with self._database.write() as connection:
            await connection.execute(insert(FILE_PARTS).values(file=file_id, number=number, data=data))

    async def finish(self, file: StoredFile) -> None:
        """All parts are there."""
        done = update(FILES).where(FILES.c.id == file.id)
        async with self._database.write() as connection:
            await connection.execute(done.values(purpose=file.purpose, size=file.size, ready=1))

    async def used(self, tenant: str) -> int:
        """The bytes of the tenant's files."""
        query = select(func.coalesce(func.sum(FILES.c.size), 0)).where(FILES.c.tenant == tenant, _READY)
        async with self._database.read() as connection:
            return int(await connection.scalar(query) or 0)

    async def find(self, owner: Owner, file_ids: Sequence[str]) -> dict[str, StoredFile]:
        """Those of the files that are there and that the owner sees, by id."""
        query = select(FILES).where(_seen(owner), FILES.c.id.in_(file_ids))
        async with self._database.read() as connection:
            return {row.id: _file(row) for row in await connection.execute(query)}

    async def list(self, owner: Owner, page: PageOf, **of: str) -> Sequence[StoredFile]:
        """Those of this `purpose` and `subject`, where these are not empty; one more than the page has where there are
        more."""
        only = [FILES.c[name] == value for name, value in of.items() if value]
        async with self._database.read() as connection:
            rows = await paged(connection, FILES.c.id, page, _seen(owner), only)
            return [_file(row) for row in rows]

    async def parts(self, file_id: str) -> AsyncIterator[bytes]:
        """The file's bytes in order; nothing for a file that is gone."""
        number = 0
        while (data := await self._part(file_id, number)) is not None:
            yield data
            number += 1

    async def _part(self, file_id: str, number: int) -> bytes | None:
        query = select(FILE_PARTS.c.data).where(FILE_PARTS.c.file == file_id, FILE_PARTS.c.number == number)
        async with self._database.read() as connection:
            data: bytes | None = await connection.scalar(query)
            return data

    async def delete(self, tenant: str, file_id: str) -> None:
        """Delete a file with its bytes."""
        async with self._database.write() as connection:
            await connection.execute(delete(FILES).where(FILES.c.tenant == tenant, FILES.c.id == file_id))

    async def delete_abandoned(self) -> None:
        """Delete what uploads have left behind whose process died."""
        old = FILES.c.created < time.time() - ABANDONED_SECONDS
        async with self._database.write() as connection:
            await connection.execute(delete(FILES).where(FILES.c.ready == 0, old))


async def paged(
    connection: AsyncConnection,
    name: Column[str],
    page: PageOf,
    within: ColumnElement[bool],
    only: Sequence[ColumnElement[bool]],
) -> Sequence[Row[Any]]:
    """The page of the rows `within` a list that meet the conditions of `only`, and one row more. They are ordered by
    the column `created` of `name`'s table and then by `name`. Raises InvalidArgument where `after` names no row of the
    list; it need not meet `only`, which it may have ceased to since its page was read."""
    created = name.table.c.created
    query = select(name.table).where(within, *only)
    order = (created.asc(), name.asc()) if page.ascending else (created.desc(), name.desc())
    if page.after:
        last = await connection.scalar(select(created).where(within, name == page.after))
        if last is None:
            raise not_in_list()
        later = created > last if page.ascending else created < last
        beside = name > page.after if page.ascending else name < page.after
        query = query.where(or_(later, and_(created == last, beside)))
    found: Sequence[Row[Any]] = (await connection.execute(query.order_by(*order).limit(page.size + 1))).all()
    return found


def not_in_list() -> InvalidArgument:
    """What `after` is answered with where it names nothing that the list has for its caller."""
    return InvalidArgument("after is not the id of one in this list", field="after")


def _seen(owner: Owner) -> ColumnElement[bool]:
    mine = and_(FILES.c.tenant == owner.tenant, _READY)
    return mine if owner.others else and_(mine, FILES.c.subject == owner.subject)


def _file(row: Row[Any]) -> StoredFile:
    return StoredFile(row.id, row.tenant, row.subject, row.filename, row.purpose, row.size, row.created)
