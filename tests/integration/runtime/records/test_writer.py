"""Group commit, on SQLite and on PostgreSQL."""

import asyncio
import itertools
import math
import signal
from collections.abc import Sequence
from functools import partial

import pytest
from sqlalchemy import bindparam, func, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from services.runtime.records.database import Database
from services.runtime.records.errors import RecordsUnavailable
from services.runtime.records.many import Many, Rows, Step, execute_all
from services.runtime.records.upsert import insert_new
from services.runtime.records.writer import NothingWritten, Outdated, ScriptSink, Writer
from tests.fakes.serving import until
from tests.fixtures.processes import Postgres
from tests.integration.runtime.records.conftest import NOTES, NoteSink, notes_in, open_database


class StrictSink:
    """Refuses a row that is there already."""

    async def write(self, connection: AsyncConnection, items: Sequence[int]) -> None:
        await connection.execute(insert(NOTES), [{"id": number, "text": "strict"} for number in items])


async def test_what_comes_together_is_written_together(database: Database) -> None:
    writer, sink = Writer(database), NoteSink()
    await writer.open()
    await asyncio.gather(*(writer.put(sink, (number, "x")) for number in range(100)))
    await writer.aclose()
    assert sink.batches == [100]
    assert len(await notes_in(database)) == 100


async def test_a_future_is_done_only_when_all_may_see_it(database: Database) -> None:
    writer, sink = Writer(database), NoteSink()
    await writer.open()
    for number in range(5):
        await writer.put(sink, (number, "x"))
        assert number in await notes_in(database)
    await writer.aclose()


async def test_one_bad_item_costs_the_others_nothing(database: Database) -> None:
    async with database.write() as connection:
        await connection.execute(insert(NOTES).values(id=3, text="first"))
    writer, sink = Writer(database), StrictSink()
    await writer.open()
    results = await asyncio.gather(*(writer.put(sink, number) for number in range(6)), return_exceptions=True)
    await writer.aclose()
    assert [type(result) for result in results] == [type(None)] * 3 + [IntegrityError] + [type(None)] * 2
    assert await notes_in(database) == {n: "first" if n == 3 else "strict" for n in range(6)}


async def test_items_put_together_are_written_all_or_none(database: Database) -> None:
    writer, notes, strict = Writer(database), NoteSink(), StrictSink()
    await writer.open()
    await writer.put_together([(notes, (1, "a")), (strict, 2)])
    with pytest.raises(IntegrityError):
        await writer.put_together([(notes, (3, "b")), (strict, 2)])
    await writer.aclose()
    assert await notes_in(database) == {1: "a", 2: "strict"}


async def test_refuses_more_than_it_can_hold(database: Database) -> None:
    writer, sink = Writer(database, limit=3), NoteSink()
    waiting = [writer.put(sink, (number, "x")) for number in range(3)]
    with pytest.raises(RecordsUnavailable):
        writer.put(sink, (3, "x"))
    await writer.open()
    await asyncio.gather(*waiting)
    await writer.aclose()


async def test_closing_writes_what_there_is(database: Database) -> None:
    writer, sink = Writer(database, batch=10), NoteSink()
    await writer.open()
    waiting = [writer.put(sink, (number, "x")) for number in range(95)]
    await writer.aclose()
    assert all(one.done() for one in waiting)
    assert len(await notes_in(database)) == 95
    with pytest.raises(RecordsUnavailable):
        writer.put(sink, (99, "x"))


async def test_a_caller_that_left_does_not_undo_the_record(database: Database) -> None:
    writer, sink = Writer(database), NoteSink()
    writer.put(sink, (1, "x")).cancel()
    await writer.open()
    await writer.aclose()
    assert await notes_in(database) == {1: "x"}


async def test_waits_for_a_database_that_comes_back(postgres_server: Postgres, postgres_url: str) -> None:
    database = await open_database(postgres_url, timeout=2)
    writer, sink = Writer(database, patience=30), NoteSink()
    await writer.open()
    await writer.put(sink, (0, "before"))
    await asyncio.to_thread(postgres_server.stop)
    waiting = [writer.put(sink, (number, "during")) for number in range(1, 50)]
    await asyncio.to_thread(postgres_server.start)
    await asyncio.gather(*waiting)
    assert len(await notes_in(database)) == 50
    await writer.aclose()
    await database.aclose()


def acknowledged_more_than(acknowledged: set[int], count: int) -> bool:
    return len(acknowledged) > count


async def test_what_was_acknowledged_outlives_crashes_under_load(postgres_server: Postgres, postgres_url: str) -> None:
    database = await open_database(postgres_url, timeout=2)
    writer, sink = Writer(database, patience=60), NoteSink()
    await writer.open()
    numbers, acknowledged, over = itertools.count(), set[int](), asyncio.Event()

    async def load() -> None:
        while not over.is_set():
            number = next(numbers)
            await writer.put(sink, (number, "x"))
            acknowledged.add(number)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(20):
            tasks.create_task(load())
        for _ in range(2):
            reached = len(acknowledged) + 500
            await until(partial(acknowledged_more_than, acknowledged, reached))
            await asyncio.to_thread(postgres_server.stop, signal.SIGKILL)
            await asyncio.to_thread(postgres_server.start)
        over.set()
    assert set(await notes_in(database)) == acknowledged
    await writer.aclose()
    await database.aclose()


async def test_tells_everybody_when_patience_ends(postgres_server: Postgres, postgres_url: str) -> None:
    database = await open_database(postgres_url, timeout=1)
    writer, sink = Writer(database, patience=0.3), NoteSink()
    await writer.open()
    await asyncio.to_thread(postgres_server.stop)
    results = await asyncio.gather(*(writer.put(sink, (n, "x")) for n in range(10)), return_exceptions=True)
    assert [type(result) for result in results] == [RecordsUnavailable] * 10
    await asyncio.to_thread(postgres_server.start)
    await writer.put(sink, (1, "after"))
    assert await notes_in(database) == {1: "after"}
    await writer.aclose()
    await database.aclose()


async def test_a_server_that_hangs_is_an_outage(postgres_server: Postgres, postgres_url: str) -> None:
    database = await open_database(postgres_url, timeout=1)
    assert await notes_in(database) == {}
    postgres_server.pause()
    try:
        async with asyncio.timeout(5):
            with pytest.raises(RecordsUnavailable):
                await notes_in(database)
    finally:
        postgres_server.resume()
    assert await notes_in(database) == {}
    await database.aclose()


async def test_says_of_each_attempt_that_fails_and_does_not_wait_at_the_end(records_url: str) -> None:
    holder, database = await open_database(records_url), await open_database(records_url, timeout=0.1)
    failed: list[int] = []
    writer = Writer(database, patience=math.inf, failing=lambda: failed.append(1))
    await writer.open()
    async with holder.write() as connection:
        await connection.execute(insert(NOTES).values(id=1, text="held"))
        waiting = writer.put(NoteSink(), (1, "x"))
        await until(lambda: len(failed) > 2)
        assert not waiting.done()
        await writer.aclose(patience=0)
    with pytest.raises(RecordsUnavailable):
        await waiting
    assert await notes_in(holder) == {1: "held"}
    await database.aclose()
    await holder.aclose()


class ClosedSink(NoteSink):
    """May not write any more."""

    async def write(self, connection: AsyncConnection, items: Sequence[tuple[int, str]]) -> None:
        await super().write(connection, items)
        raise NothingWritten


async def test_a_sink_that_may_not_write_is_asked_once(database: Database) -> None:
    writer, sink = Writer(database), ClosedSink()
    waiting = [writer.put(sink, (number, "x")) for number in range(10)]
    await writer.open()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(result) for result in results] == [NothingWritten] * 10
    assert sink.batches == [10]
    await writer.aclose()
    assert await notes_in(database) == {}


class NoteScript(ScriptSink[tuple[int, str]]):
    """Writes (id, text), unless there is a note that forbids it."""

    INSERT = Many(insert_new(NOTES))
    FORBIDDEN = Many(select(NOTES.c.id).where(NOTES.c.text == bindparam("text")))

    def steps(self, items: Sequence[tuple[int, str]]) -> Sequence[Step]:
        rows = [{"id": number, "text": text} for number, text in items]
        return [(self.INSERT, rows), (self.FORBIDDEN, [{"text": "forbidden"}])]

    def check(self, found: list[Rows]) -> None:
        if found[0]:
            raise NothingWritten

    async def write(self, connection: AsyncConnection, items: Sequence[tuple[int, str]]) -> None:
        await execute_all(connection, self.steps(items), self.check)


async def test_a_script_is_written_alone_and_beside_others(database: Database) -> None:
    writer, script, notes = Writer(database), NoteScript(), NoteSink()
    await writer.open()
    await asyncio.gather(*(writer.put(script, (number, "x")) for number in range(3)))
    await asyncio.gather(writer.put(script, (3, "x")), writer.put(notes, (4, "x")))
    with pytest.raises(NothingWritten):
        await writer.put(script, (5, "forbidden"))
    await writer.aclose()
    assert await notes_in(database) == dict.fromkeys(range(5), "x")


class Numbering(ScriptSink[str]):
    """Writes texts under the numbers that follow the last one, which it knows as long as nobody else writes."""

    INSERT = Many(insert(NOTES))
    LAST = Many(select(func.max(NOTES.c.id)).where(NOTES.c.text != bindparam("text")))

    def __init__(self) -> None:
        self.looked = 0
        self._last: int | None = None
        self._expected: int | None = None

    def steps(self, items: Sequence[str]) -> Sequence[Step] | None:
        return None if self._last is None else [(self.LAST, [{"text": ""}]), self._numbered(self._last, items)]

    def check(self, found: list[Rows]) -> None:
        if found != [[(self._expected,)]]:
            raise Outdated

    async def write(self, connection: AsyncConnection, items: Sequence[str]) -> None:
        self.looked += 1
        [(last,)] = await self.LAST.fetch(connection, {"text": ""})
        insert, rows = self._numbered(last or 0, items)
        await insert.execute(connection, rows)

    def _numbered(self, last: int, items: Sequence[str]) -> Step:
        self._expected, self._last = last, last + len(items)
        return self.INSERT, [{"id": last + 1 + at, "text": text} for at, text in enumerate(items)]


async def test_a_script_that_is_outdated_is_not_executed_and_written_in_another_way(database: Database) -> None:
    writer, sink, other = Writer(database), Numbering(), NoteScript()
    await writer.open()
    await writer.put(sink, "one")
    await writer.put(sink, "two")
    assert sink.looked == 1  # the first alone
    async with database.write() as connection:
        await connection.execute(insert(NOTES).values(id=3, text="another's"))
    await asyncio.gather(writer.put(sink, "four"), writer.put(other, (10, "beside")))
    assert sink.looked == 2
    await writer.put_together([(other, (11, "beside")), (sink, "twelve")])
    assert sink.looked == 3  # ten was another's
    await writer.put_together([(other, (0, "beside")), (sink, "thirteen")])
    await writer.aclose()
    assert sink.looked == 3
    assert await notes_in(database) == {
        0: "beside", 1: "one", 2: "two", 3: "another's", 4: "four", 10: "beside", 11: "beside", 12: "twelve",
        13: "thirteen",
    }  # fmt: skip


async def test_a_script_undone_by_one_sink_writes_nothing_of_another(database: Database) -> None:
    writer, sink, other = Writer(database), Numbering(), NoteScript()
    await writer.open()
    await writer.put(sink, "one")
    with pytest.raises(NothingWritten):
        await writer.put_together([(other, (5, "forbidden")), (sink, "two")])
    await writer.put(sink, "two")
    await writer.aclose()
    assert await notes_in(database) == {1: "one", 2: "two"}
