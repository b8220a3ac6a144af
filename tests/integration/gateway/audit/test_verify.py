"""Whatever is done to the records behind the gateway's back is found, and where."""

import asyncio
from collections.abc import Awaitable, Callable

import orjson
import pytest
from sqlalchemy import text

from gateway.audit.anchors import ChainHead
from gateway.audit.chain import canonical, digest
from gateway.audit.checkpoints import heads_json
from gateway.audit.entry import Content
from gateway.audit.walk import AuditReport, Fault
from tests.fixtures.audit import ANN, Audit, entry

Tamper = Callable[[Audit], Awaitable[object]]


def told(report: AuditReport) -> set[tuple[Fault, int]]:
    return {(finding.fault, finding.sequence) for finding in report.findings}


async def record_of(audit: Audit, sequence: int) -> tuple[str, str]:
    async with audit.database.read() as connection:
        query = text("SELECT record, previous FROM audit_records WHERE sequence = :at")
        row = (await connection.execute(query, {"at": sequence})).one()
    return row.record, row.previous


async def rewrite(audit: Audit, sequence: int, previous: str | None = None, **fields: object) -> str:
    """Change a record and put its hash right; gives the hash."""
    record, before = await record_of(audit, sequence)
    changed = canonical(orjson.loads(record) | fields)
    previous = previous or before
    hashed = digest(previous, changed)
    await audit.execute(
        "UPDATE audit_records SET record = :record, previous = :previous, hash = :hash WHERE sequence = :at",
        record=changed, previous=previous, hash=hashed, at=sequence,
    )  # fmt: skip
    return hashed


async def swap(audit: Audit, one: int, other: int) -> None:
    for was, becomes in ((one, -1), (other, one), (-1, other)):
        await audit.execute("UPDATE audit_records SET sequence = :to WHERE sequence = :at", to=becomes, at=was)


async def rewrite_all(audit: Audit, first: int, last: int) -> None:
    """Change a record and put right all that follows, the head too."""
    hashed = None
    for sequence in range(first, last + 1):
        hashed = await rewrite(audit, sequence, hashed, **({"model": "none"} if sequence == first else {}))
    await audit.execute("UPDATE audit_head SET hash = :hash", hash=hashed)


async def cut(audit: Audit, after: int) -> None:
    """Remove the end, and put the head right."""
    async with audit.database.read() as connection:
        query = text("SELECT hash FROM audit_records WHERE sequence = :at")
        hashed = (await connection.execute(query, {"at": after})).scalar_one()
    await audit.execute("DELETE FROM audit_records WHERE sequence > :after", after=after)
    await audit.execute("UPDATE audit_head SET sequence = :after, hash = :hash", after=after, hash=hashed)


TAMPERING: list[tuple[str, Tamper, tuple[Fault, int]]] = [
    (
        "changed",
        lambda a: a.execute("UPDATE audit_records SET record = replace(record, 'rag', 'gpt') WHERE sequence = 5"),
        (Fault.CHANGED, 5),
    ),
    ("changed with its hash", lambda a: rewrite(a, 5, model="gpt"), (Fault.CHANGED, 5)),
    ("a hash", lambda a: a.execute("UPDATE audit_records SET hash = previous WHERE sequence = 5"), (Fault.CHANGED, 5)),
    ("a column", lambda a: a.execute("UPDATE audit_records SET tenant = 'x' WHERE sequence = 5"), (Fault.CHANGED, 5)),
    ("no JSON", lambda a: a.execute("UPDATE audit_records SET record = '[' WHERE sequence = 5"), (Fault.CHANGED, 5)),
    ("the last, with its hash", lambda a: rewrite(a, 10, model="gpt"), (Fault.CHANGED, 10)),
    ("removed", lambda a: a.execute("DELETE FROM audit_records WHERE sequence = 5"), (Fault.REMOVED, 5)),
    ("several", lambda a: a.execute("DELETE FROM audit_records WHERE sequence BETWEEN 3 AND 6"), (Fault.REMOVED, 3)),
    ("the first", lambda a: a.execute("DELETE FROM audit_records WHERE sequence = 1"), (Fault.REMOVED, 1)),
    ("the end", lambda a: a.execute("DELETE FROM audit_records WHERE sequence > 7"), (Fault.REMOVED, 8)),
    ("all", lambda a: a.execute("DELETE FROM audit_records"), (Fault.REMOVED, 1)),
    ("the head", lambda a: a.execute("DELETE FROM audit_head"), (Fault.REMOVED, 0)),
    ("swapped", lambda a: swap(a, 4, 5), (Fault.REORDERED, 4)),
    (
        "added",
        lambda a: a.execute(
            "INSERT INTO audit_records (sequence, id, time, tenant, actor, record, previous, hash)"
            " SELECT 11, 'aud_x', time, tenant, actor, record, previous, hash"
            " FROM audit_records WHERE sequence = 10"
        ),
        (Fault.INSERTED, 11),
    ),
    ("whose it is", lambda a: a.execute("UPDATE audit_actors SET subject = 'eve'"), (Fault.CHANGED, 1)),
]


@pytest.mark.parametrize(("tamper", "finding"), [case[1:] for case in TAMPERING], ids=[case[0] for case in TAMPERING])
async def test_tampering_is_found(audit: Audit, tamper: Tamper, finding: tuple[Fault, int]) -> None:
    await audit.fill(10)
    report = await audit.verify()
    assert (report.sound, report.records, report.first, report.last) == (True, 10, 1, 10)
    await tamper(audit)
    report = await audit.verify()
    assert not report.sound
    assert finding in told(report)


async def test_one_change_is_one_finding(audit: Audit) -> None:
    await audit.fill(10)
    await rewrite(audit, 4, model="gpt")
    await audit.execute("DELETE FROM audit_records WHERE sequence = 8")
    assert told(await audit.verify()) == {(Fault.CHANGED, 4), (Fault.REMOVED, 8)}


async def test_what_was_signed_cannot_be_rewritten(audit: Audit) -> None:
    await audit.fill(6)
    assert (await audit.verify()).signed is None
    assert await audit.checkpoints.write() is not None
    assert await audit.checkpoints.write() is None
    await audit.fill(4)
    assert (await audit.verify()).signed
    await rewrite_all(audit, 3, 10)
    assert told(await audit.verify()) == {(Fault.CHANGED, 6)}
    async with audit.database.read() as connection:
        hashed = (await connection.execute(text("SELECT hash FROM audit_records WHERE sequence = 6"))).scalar_one()
    await audit.execute("UPDATE audit_checkpoints SET heads = :heads", heads=heads_json({1: ChainHead(6, hashed)}))
    assert told(await audit.verify()) == {(Fault.FORGED, 6)}


async def test_what_was_signed_cannot_be_cut_off(audit: Audit) -> None:
    await audit.fill(6)
    anchor = await audit.checkpoints.write()
    assert anchor is not None
    await cut(audit, 4)
    assert told(await audit.verify()) == {(Fault.REMOVED, 5)}
    await audit.execute("DELETE FROM audit_checkpoints")
    assert (await audit.verify()).sound  # nothing in the database tells any more, but what was kept elsewhere does
    assert told(await audit.verify(anchors=[anchor])) == {(Fault.REMOVED, 5), (Fault.REMOVED, 0)}


async def test_an_anchor_tells_a_chain_that_was_rewritten(audit: Audit) -> None:
    await audit.fill(6)
    anchor = await audit.checkpoints.write()
    assert anchor is not None
    await rewrite_all(audit, 2, 6)
    await audit.execute("DELETE FROM audit_checkpoints")
    assert (await audit.verify()).sound
    assert told(await audit.verify(anchors=[anchor])) == {(Fault.CHANGED, 6), (Fault.REMOVED, 0)}


async def test_from_a_checkpoint_on(audit: Audit) -> None:
    await audit.fill(6)
    await audit.checkpoints.write()
    await audit.fill(4)
    report = await audit.verify(after=6)
    assert (report.sound, report.first, report.records) == (True, 7, 4)
    assert told(await audit.verify(after=4)) == {(Fault.FORGED, 4)} | {(Fault.CHANGED, 4)}


async def test_content_is_vouched_for_and_can_be_erased(audit: Audit) -> None:
    await audit.log.record(entry(1, ANN, Content("what?", "that")))
    await audit.log.record(entry(2, ANN))
    await audit.execute("UPDATE audit_content SET data = replace(data, 'that', 'this')")
    assert told(await audit.verify()) == {(Fault.CHANGED, 1)}
    await audit.execute("DELETE FROM audit_content")
    report = await audit.verify()
    assert (report.sound, report.erased_contents) == (True, 1)
    await audit.execute("DELETE FROM audit_actors")
    report = await audit.verify()
    assert (report.sound, report.erased_actors) == (True, 2)


async def test_while_others_append(audit: Audit, second: Audit) -> None:
    await audit.fill(20)
    writing = asyncio.gather(audit.fill(30), second.fill(30))
    while not writing.done():
        assert (await audit.verify()).sound
    await writing
    assert (await audit.verify()).records == 80


async def test_findings_are_bounded(audit: Audit) -> None:
    await audit.fill(120)
    await audit.execute("UPDATE audit_records SET record = 'x'")
    report = await audit.verify()
    assert (report.faults, len(report.findings)) == (120, 100)
