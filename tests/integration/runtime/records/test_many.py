"""A statement for many rows, in one step of the driver."""

import pytest
from sqlalchemy import bindparam, insert, update
from sqlalchemy.exc import IntegrityError

from services.runtime.records.database import Database
from services.runtime.records.many import Many
from tests.integration.runtime.records.conftest import NOTES, notes_in

INSERT = Many(insert(NOTES))
APPEND = Many(update(NOTES).where(NOTES.c.id == bindparam("of")).values(text=NOTES.c.text + bindparam("more")))


async def test_rows_are_written_in_their_order(database: Database) -> None:
    async with database.write() as connection:
        await INSERT.execute(connection, [{"id": number, "text": str(number)} for number in range(500)])
        await APPEND.execute(connection, [{"of": 7, "more": "a"}, {"of": 7, "more": "b"}, {"of": -1, "more": "c"}])
    assert await notes_in(database) == {number: str(number) for number in range(500)} | {7: "7ab"}


async def test_a_refused_row_is_told_of_as_always(database: Database) -> None:
    async with database.write() as connection:
        await INSERT.execute(connection, [{"id": 7, "text": "7"}])
    with pytest.raises(IntegrityError):
        await _write_twice(database)
    assert await notes_in(database) == {7: "7"}


async def _write_twice(database: Database) -> None:
    async with database.write() as connection:
        await INSERT.execute(connection, [{"id": 8, "text": "8"}])
        await INSERT.execute(connection, [{"id": 7, "text": "8"}])
