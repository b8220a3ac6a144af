"""Each writer has a chain of its own, and whatever is done to one of several is found."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace

import pytest
from sqlalchemy import text

from gateway.audit.exported import verify_lines
from gateway.audit.log import AuditLog
from gateway.audit.pruning import AuditPruner
from gateway.audit.store import AuditFilter, export_lines
from gateway.audit.walk import AuditReport, Fault
from tests.fakes.identity import Keys
from tests.fixtures.audit import ANN, BOB, Audit, entry, open_audit

DAY = 86_400.0
Found = set[tuple[int, Fault, int]]


def found(report: AuditReport) -> Found:
    return {(finding.chain, finding.fault, finding.sequence) for finding in report.findings}


async def rows(audit: Audit, query: str) -> list[tuple[object, ...]]:
    async with audit.database.read() as connection:
        return [tuple(row) for row in await connection.execute(text(query))]


@pytest.fixture
async def both(audit: Audit, second: Audit) -> Audit:
    """Six records in either of two chains, a checkpoint over both, and two more in each."""
    await audit.fill(6)
    await second.fill(6)
    assert await audit.checkpoints.write() is not None
    await audit.fill(2)
    await second.fill(2)
    report = await audit.verify()
    assert (report.sound, report.signed) == (True, True)
    assert {chain: (one.records, one.first, one.last) for chain, one in report.chains.items()} == {
        1: (8, 1, 8), 2: (8, 1, 8),
    }  # fmt: skip
    return audit


async def cut(audit: Audit) -> None:
    """Remove the end of the second chain, and put its head right."""
    [(hashed,)] = await rows(audit, "SELECT hash FROM audit_records WHERE chain = 2 AND sequence = 4")
    await audit.execute("DELETE FROM audit_records WHERE chain = 2 AND sequence > 4")
    await audit.execute("UPDATE audit_head SET sequence = 4, hash = :hash WHERE id = 2", hash=hashed)


async def remove(audit: Audit) -> None:
    """Remove the second chain with all there is of it but what was signed."""
    for statement in (
        "DELETE FROM audit_records WHERE chain = 2",
        "DELETE FROM audit_content WHERE chain = 2",
        "DELETE FROM audit_head WHERE id = 2",
    ):
        await audit.execute(statement)


async def begin_anew(audit: Audit) -> None:
    """Remove the second chain, and have it begun again."""
    await remove(audit)
    await audit.execute(
        "INSERT INTO audit_head (id, sequence, hash, base_sequence, base_hash) VALUES (2, 0, :none, 0, :none)",
        none="0" * 64,
    )


async def exchange(audit: Audit) -> None:
    """Each chain in the place of the other, with its head."""
    for was, becomes in ((1, 3), (2, 1), (3, 2)):
        await audit.execute("UPDATE audit_records SET chain = :to WHERE chain = :at", to=becomes, at=was)
        await audit.execute("UPDATE audit_head SET id = :to WHERE id = :at", to=becomes, at=was)


TAMPERING: list[tuple[str, Callable[[Audit], Awaitable[object]], tuple[int, Fault, int]]] = [
    (
        "changed",
        lambda a: a.execute(
            "UPDATE audit_records SET record = replace(record, 'rag', 'x') WHERE chain = 2 AND sequence = 5"
        ),
        (2, Fault.CHANGED, 5),
    ),
    ("a gap", lambda a: a.execute("DELETE FROM audit_records WHERE chain = 2 AND sequence = 3"), (2, Fault.REMOVED, 3)),
    ("the end", cut, (2, Fault.REMOVED, 5)),
    ("a whole chain", remove, (2, Fault.REMOVED, 0)),
    ("begun anew", begin_anew, (2, Fault.REMOVED, 1)),
    ("the first chain's head", lambda a: a.execute("DELETE FROM audit_head WHERE id = 1"), (1, Fault.REMOVED, 0)),
    ("exchanged", exchange, (2, Fault.REORDERED, 1)),
    (
        "a chain of nobody",
        lambda a: a.execute(
            "INSERT INTO audit_records (chain, sequence, id, time, tenant, actor, record, previous, hash)"
            " SELECT 7, 1, 'aud_x', time, tenant, actor, record, previous, hash FROM audit_records"
            " WHERE chain = 2 AND sequence = 1"
        ),
        (7, Fault.INSERTED, 0),
    ),
    (
        "the beginning",
        lambda a: a.execute("UPDATE audit_head SET base_sequence = 3 WHERE id = 2"),
        (2, Fault.FORGED, 3),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("tamper", "finding"), [case[1:] for case in TAMPERING], ids=[case[0] for case in TAMPERING])
async def test_what_is_done_to_one_chain_is_found(
    both: Audit, tamper: Callable[[Audit], Awaitable[object]], finding: tuple[int, Fault, int]
) -> None:
    await tamper(both)
    assert finding in found(await both.verify())


async def test_what_was_signed_later_does_not_make_good_what_was_signed_before(both: Audit) -> None:
    await cut(both)
    assert await both.checkpoints.write() is not None
    assert (2, Fault.REMOVED, 5) in found(await both.verify())


async def test_a_checkpoint_between_others_is_missed(both: Audit) -> None:
    for _ in range(2):
        await both.fill(1)
        assert await both.checkpoints.write() is not None
    assert (await both.verify()).sound
    await both.execute("DELETE FROM audit_checkpoints WHERE number = 2")
    assert found(await both.verify()) == {(1, Fault.REMOVED, 0)}


async def test_a_chain_removed_with_its_checkpoints_is_missed_by_who_kept_one(both: Audit) -> None:
    await both.fill(1)
    anchor = await both.checkpoints.write()
    assert anchor is not None
    await remove(both)
    await both.execute("DELETE FROM audit_checkpoints")
    assert (await both.verify()).sound  # it was the last one, and nothing tells of it
    assert found(await both.verify(anchors=[anchor])) == {(2, Fault.REMOVED, 0), (1, Fault.REMOVED, 0)}


async def test_from_a_checkpoint_on_in_every_chain(both: Audit) -> None:
    for chain in (1, 2):
        report = await both.verify(after=6, chain=chain)
        assert (report.sound, report.first, report.records) == (True, 7, 4)
    assert (2, Fault.FORGED, 5) in found(await both.verify(after=5, chain=2))


async def test_who_stops_leaves_the_chain_to_the_next(audit: Audit, records_url: str, keys: Keys) -> None:
    for number in range(3):
        one = await open_audit(records_url, keys)
        await one.fill(2)
        await one.aclose()
        assert await rows(audit, "SELECT id, sequence FROM audit_head") == [(1, 2 * number + 2)]


async def test_what_a_killed_writer_had_is_taken_on_after_its_time(audit: Audit, records_url: str, keys: Keys) -> None:
    """The fixture's audit stands for one that was killed: it lets nothing go."""
    await audit.fill(2)
    next_one = await open_audit(records_url, keys)
    await next_one.fill(2)
    await next_one.aclose()
    assert await rows(audit, "SELECT id, sequence FROM audit_head ORDER BY id") == [(1, 2), (2, 2)]
    await audit.execute("UPDATE audit_head SET expires = 1")
    later = await open_audit(records_url, keys)
    await later.fill(2)
    assert await rows(audit, "SELECT id, sequence FROM audit_head ORDER BY id") == [(1, 4), (2, 2)]
    await audit.fill(2)  # it was not dead but slow, and goes on elsewhere
    assert await rows(audit, "SELECT id, sequence FROM audit_head ORDER BY id") == [(1, 4), (2, 4)]
    await later.aclose()
    report = await audit.verify()
    assert (report.sound, report.records) == (True, 8)


async def test_a_chain_whose_beginning_was_undone_is_begun_again(audit: Audit, second: Audit) -> None:
    await audit.fill(1)
    with suppress(ZeroDivisionError):
        async with second.database.write() as connection:
            await second.log.append(connection, [entry()])
            raise ZeroDivisionError
    assert await rows(audit, "SELECT id FROM audit_head") == [(1,)]
    await second.fill(1)
    report = await audit.verify()
    assert (report.sound, sorted(report.chains)) == (True, [1, 2])


async def test_writers_who_come_at_once_and_have_one_name(records_url: str, keys: Keys) -> None:
    writers = await asyncio.gather(*(open_audit(records_url, keys) for _ in range(4)))
    await asyncio.gather(*(one.log.record(entry(number)) for number in range(10) for one in writers))
    report = await writers[0].verify()
    assert report.sound, report.findings
    assert {chain: one.records for chain, one in report.chains.items()} == dict.fromkeys(range(1, 5), 10)
    for one in writers:
        await one.aclose()


async def test_who_has_lost_the_head_goes_on_in_another_chain(both: Audit) -> None:
    await both.execute("DELETE FROM audit_head")
    await both.fill(2)
    assert await rows(both, "SELECT id, sequence FROM audit_head") == [(3, 2)]
    assert {(1, Fault.REMOVED, 0), (2, Fault.REMOVED, 0)} <= found(await both.verify())


async def test_a_new_chain_is_signed_for_at_once(audit: Audit) -> None:
    log = AuditLog(audit.database, audit.writer, audit.changes, audit.checkpoints, attempt_seconds=0)
    await log.open()
    await log.record(entry())
    async with asyncio.timeout(10):
        while not await rows(audit, "SELECT number FROM audit_checkpoints"):
            await asyncio.sleep(0.05)
    await log.aclose()


async def test_the_log_is_read_by_time_and_each_chain_in_its_order(audit: Audit, second: Audit) -> None:
    """The second writer's clock is five seconds behind, and is put right in between."""
    times = {1: [10.0, 20.0, 30.0, 40.0], 2: [8.0, 18.0, 33.0, 32.0]}
    for one, chain in ((audit, 1), (second, 2)):
        for number, when in enumerate(times[chain]):
            await one.log.record(replace(entry(number, ANN), time=when))
    expected = [(2, 8.0), (1, 10.0), (2, 18.0), (1, 20.0), (1, 30.0), (2, 33.0), (2, 32.0), (1, 40.0)]
    assert [(one.chain, one.time) async for one in audit.store.all(AuditFilter())] == expected
    after: dict[int, int] = {}
    read: list[tuple[int, float]] = []
    while page := await audit.store.page(AuditFilter(after=after), 3):
        read += [(one.chain, one.time) for one in page]
        after |= {one.chain: one.sequence for one in page}
    assert read == expected
    await second.log.record(replace(entry(9, BOB), time=5.0))  # late, and yet not missed by who reads on
    assert [(one.chain, one.time) for one in await audit.store.page(AuditFilter(after=after))] == [(2, 5.0)]
    some = [(one.chain, one.time) async for one in audit.store.all(AuditFilter(since=18.0, until=33.0))]
    assert some == [(2, 18.0), (1, 20.0), (1, 30.0), (2, 32.0)]


async def test_an_export_has_all_chains(both: Audit) -> None:
    lines = [line async for line in export_lines(both.store, both.seal, AuditFilter())]
    report = verify_lines(lines, both.seal.check)
    assert (report.sound, report.signed, report.records, sorted(report.chains)) == (True, True, 16, [1, 2])
    missing = [line for line in lines if b'"chain":2' not in line or b'"sequence":3' not in line]
    assert len(missing) == len(lines) - 1
    assert (2, Fault.REMOVED, 3) in found(verify_lines(missing, both.seal.check))


async def test_all_chains_are_pruned(both: Audit, second: Audit) -> None:
    assert await AuditPruner(both.database, both.checkpoints).prune(time.time() + DAY) == 14
    report = await both.verify()
    assert (report.sound, report.records, report.signed) == (True, 2, True)
    assert {one.first for one in report.chains.values()} == {8}
    await both.fill(1)
    await second.fill(1)
    report = await both.verify()
    assert (report.sound, report.records) == (True, 4)
    await remove(both)
    assert (2, Fault.REMOVED, 0) in found(await both.verify())


async def test_pruning_one_chain_does_not_hide_what_was_done_to_another(both: Audit) -> None:
    """The only checkpoint that tells of the second chain's end names a record of the first that is due."""
    await both.execute("UPDATE audit_head SET expires = 0 WHERE id = 2")
    await cut(both)
    assert (2, Fault.REMOVED, 5) in found(await both.verify())
    await AuditPruner(both.database, both.checkpoints).prune(time.time() + DAY)
    assert (2, Fault.REMOVED, 5) in found(await both.verify())


async def test_a_chain_goes_on_after_a_change_that_was_undone(audit: Audit) -> None:
    await audit.fill(4)
    with suppress(LookupError):
        async with audit.database.write() as connection:
            await audit.log.append(connection, [entry(1), entry(2)])
            raise LookupError
    await audit.fill(4)
    async with audit.database.write() as connection:
        await audit.log.append(connection, [entry(3)])
    await audit.fill(4)
    report = await audit.verify()
    assert report.sound
    assert {chain: (one.records, one.first, one.last) for chain, one in report.chains.items()} == {1: (13, 1, 13)}
