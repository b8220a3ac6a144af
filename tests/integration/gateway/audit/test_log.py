"""Records are appended in one chain, whoever appends and whatever goes wrong on the way."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import orjson
import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.audit.entry import Actor, AuditEntry, Content, Decision
from gateway.audit.log import FailedAuthentications
from gateway.audit.sink import AuditSink, Pending
from gateway.audit.store import AuditFilter
from services.runtime.records.errors import RecordsUnavailable
from services.runtime.records.writer import Writer
from tests.fixtures.audit import ANN, BOB, Audit, entry


async def test_what_is_recorded(audit: Audit) -> None:
    await audit.log.record(entry(7, ANN, Content("what?", "that")))
    (found,) = await audit.store.page(AuditFilter(), content=True)
    fields = found.fields
    assert {name: fields.pop(name) for name in ("v", "sequence", "tenant", "model", "agent_version")} == {
        "v": 1, "sequence": 1, "tenant": "acme", "model": "rag", "agent_version": 3,
    }  # fmt: skip
    assert (fields["decision"], fields["guards"], fields["prompt_tokens"]) == ("allowed", ["pii"], 7)
    assert fields["details"] == {"note": "mail [email]"}
    assert found.actor is not None
    assert (found.actor["subject"], found.actor["address"]) == ("ann@example.com", "10.0.0.1")
    assert "ann" not in found.record
    assert "what" not in found.record
    assert found.content is not None
    assert orjson.loads(found.content["data"]) == {"prompt": "what?", "answer": "that"}


async def test_an_actor_is_stored_once(audit: Audit) -> None:
    for _ in range(3):
        await audit.log.record(entry())
    assert len({recorded.fields["actor"] for recorded in await audit.store.page(AuditFilter())}) == 1


async def test_many_replicas_append_to_one_chain(audit: Audit, second: Audit) -> None:
    done = [one.log.record(entry(number, BOB)) for number in range(100) for one in (audit, second)]
    await asyncio.gather(*done)
    report = await audit.verify()
    assert (report.sound, report.records) == (True, 200)


async def test_with_the_change_or_not_at_all(audit: Audit) -> None:
    with suppress(ZeroDivisionError):
        async with audit.database.write() as connection:
            await audit.log.append(connection, [entry()])
            raise ZeroDivisionError
    async with audit.database.write() as connection:
        await audit.log.append(connection, [AuditEntry("keys.create", Decision.ALLOWED, ANN, details={"key": "key_9"})])
    await audit.log.record(entry())
    report = await audit.verify()
    assert (report.sound, report.records) == (True, 2)
    assert [recorded.actor is not None for recorded in await audit.store.page(AuditFilter())] == [True, True]


class BreaksAfterwards(AuditSink):
    """Its first transaction is committed, but nobody hears of it."""

    broken = False

    async def write(self, connection: AsyncConnection, items: Sequence[Pending]) -> None:
        await super().write(connection, items)
        if not self.broken:
            self.broken = True
            await connection.commit()
            raise RecordsUnavailable


async def test_written_again_is_written_once(audit: Audit) -> None:
    sink = BreaksAfterwards(audit.log._actors, "breaks")
    writer = Writer(audit.database)
    await writer.open()
    await asyncio.gather(*(writer.put(sink, sink.pending(entry(number))) for number in range(5)))
    await writer.aclose()
    report = await audit.verify()
    assert (report.sound, report.records, sink.broken) == (True, 5, True)


@pytest.mark.parametrize("text", ["\ud800", "\0", "x" * 100_000, "語", "'; DROP TABLE audit_records; --"])
async def test_any_text(audit: Audit, text: str) -> None:
    actor = Actor("acme", text, text, text)
    told = AuditEntry(text, Decision.FAILED, actor, reason=text, model=text, run_id=text, details={text: text},
                      content=Content(text, text))  # fmt: skip
    await audit.log.record(told)
    await audit.log.record(told)
    report = await audit.verify()
    assert (report.sound, report.records) == (True, 2)


async def test_attempts_are_told_together(audit: Audit) -> None:
    for address in ("1.1.1.1", "1.1.1.1", "2.2.2.2"):
        audit.log.attempt(address, "UNAUTHENTICATED")
    await audit.log.aclose()
    found = {one.actor["address"]: one.fields for one in await audit.store.page(AuditFilter()) if one.actor}
    assert found["1.1.1.1"]["count"] == 2
    assert "count" not in found["2.2.2.2"]
    assert {fields["decision"] for fields in found.values()} == {"refused"}


def test_attempts_are_bounded() -> None:
    attempts = FailedAuthentications(limit=10)
    for number in range(1000):
        attempts.add(f"10.0.0.{number}", "UNAUTHENTICATED")
    entries = list(attempts.take())
    assert len(entries) == 11
    assert sum(each.count for each in entries) == 1000
    assert not list(attempts.take())


async def test_what_is_wanted(audit: Audit) -> None:
    await audit.fill(6)
    assert [one.sequence for one in await audit.store.page(AuditFilter("acme"))] == [1, 3, 5]
    assert [one.sequence for one in await audit.store.page(AuditFilter(subject="bob", after={1: 2}))] == [4, 6]
    times = [one.fields["time"] for one in await audit.store.page(AuditFilter())]
    assert [one.sequence async for one in audit.store.all(AuditFilter(since=times[2], until=times[4]))] == [3, 4]
