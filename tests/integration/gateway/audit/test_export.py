"""What is done to an exported file is found, and where."""

from collections.abc import Callable

import orjson
import pytest

from gateway.audit.chain import canonical, digest
from gateway.audit.entry import Content
from gateway.audit.exported import verify_lines
from gateway.audit.seal import Seal
from gateway.audit.store import AuditFilter, export_lines
from gateway.audit.walk import Fault
from tests.fakes.identity import Keys
from tests.fixtures.audit import ANN, Audit, entry

Lines = list[bytes]
ALL = AuditFilter()


async def exported(audit: Audit, wanted: AuditFilter = ALL, *, content: bool = False) -> Lines:
    return [line async for line in export_lines(audit.store, audit.seal, wanted, content=content)]


def changed(lines: Lines, at: int, **fields: object) -> Lines:
    told = orjson.loads(lines[at])
    return [*lines[:at], orjson.dumps(told | fields) + b"\n", *lines[at + 1 :]]


def record(lines: Lines, at: int, *, hashed: bool = False) -> Lines:
    """Change what a record says, and put its hash right."""
    told = orjson.loads(lines[at])
    body = told["record"] | {"model": "none"}
    return changed(lines, at, record=body, **({"hash": digest(told["previous"], canonical(body))} if hashed else {}))


def renumbered(lines: Lines) -> Lines:
    """Without the third line, and nothing in the numbers to tell."""
    kept = [orjson.loads(line) for line in (*lines[:2], *lines[3:-1])]
    return [orjson.dumps(told | {"number": number}) + b"\n" for number, told in enumerate(kept, 1)] + lines[-1:]


CASES: list[tuple[str, Callable[[Lines], Lines], tuple[Fault, int]]] = [
    ("changed", lambda lines: record(lines, 3), (Fault.CHANGED, 4)),
    ("changed with its hash", lambda lines: record(lines, 3, hashed=True), (Fault.CHANGED, 4)),
    ("the last with its hash", lambda lines: record(lines, -2, hashed=True), (Fault.CHANGED, 0)),
    ("an actor", lambda lines: changed(lines, 3, actor={"subject": "eve"}), (Fault.CHANGED, 4)),
    ("a line's number", lambda lines: changed(lines, 3, number=3), (Fault.REORDERED, 4)),
    ("removed", lambda lines: lines[:3] + lines[4:], (Fault.REMOVED, 5)),
    ("removed and renumbered", renumbered, (Fault.REMOVED, 3)),
    ("swapped", lambda lines: [*lines[:3], lines[4], lines[3], *lines[5:]], (Fault.REORDERED, 4)),
    ("twice", lambda lines: [*lines[:3], lines[2], *lines[3:]], (Fault.REORDERED, 3)),
    ("cut short", lambda lines: lines[:-1], (Fault.REMOVED, 0)),
    ("cut short with an end", lambda lines: [*lines[:-3], lines[-1]], (Fault.REMOVED, 0)),
    ("more after the end", lambda lines: [*lines, lines[0]], (Fault.INSERTED, 0)),
    ("garbage", lambda lines: [*lines[:3], b"garbage\n", *lines[3:]], (Fault.CHANGED, 0)),
    ("another end", lambda lines: changed(lines, -1, signature="AAAA"), (Fault.FORGED, 0)),
    ("empty", lambda lines: [], (Fault.REMOVED, 0)),
]


@pytest.mark.parametrize(("tamper", "finding"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
async def test_tampering_is_found(audit: Audit, tamper: Callable[[Lines], Lines], finding: tuple[Fault, int]) -> None:
    await audit.fill(8)
    lines = await exported(audit)
    assert len(lines) == 9
    report = verify_lines(lines, audit.seal.check)
    assert (report.sound, report.signed, report.records) == (True, True, 8)
    report = verify_lines(tamper(lines), audit.seal.check)
    assert finding in {(found.fault, found.sequence) for found in report.findings}


async def test_a_part_of_the_chain_holds_together_too(audit: Audit) -> None:
    await audit.fill(9)
    for wanted, count in (
        (AuditFilter("acme"), 5),
        (AuditFilter(subject="bob"), 4),
        (AuditFilter(after={1: 3}), 6),
        (AuditFilter("none"), 0),
    ):
        report = verify_lines(await exported(audit, wanted), audit.seal.check)
        assert (report.sound, report.signed, report.records) == (True, True, count)
    lines = await exported(audit, AuditFilter("acme"))
    assert not verify_lines(record(lines, 2, hashed=True), audit.seal.check).sound
    assert not verify_lines(lines[:2] + lines[3:], audit.seal.check).sound


async def test_content_goes_along_where_it_is_asked_for(audit: Audit) -> None:
    await audit.log.record(entry(1, ANN, Content("what?", "that")))
    assert b"what?" not in b"".join(await exported(audit))
    lines = await exported(audit, content=True)
    assert b"what?" in lines[0]
    assert verify_lines(lines, audit.seal.check).sound
    lines = changed(lines, 0, content=orjson.loads(lines[0])["content"] | {"data": '{"prompt":"else"}'})
    assert not verify_lines(lines, audit.seal.check).sound


async def test_of_whom_the_signature_is(audit: Audit) -> None:
    await audit.fill(2)
    lines = await exported(audit)
    assert verify_lines(lines, None).signed is None
    assert not verify_lines(lines, Seal(Keys().private_pem).check).sound


async def test_an_erased_actor_is_no_fault(audit: Audit) -> None:
    await audit.fill(2)
    await audit.execute("DELETE FROM audit_actors WHERE subject = 'bob'")
    report = verify_lines(await exported(audit), audit.seal.check)
    assert (report.sound, report.erased_actors) == (True, 1)
