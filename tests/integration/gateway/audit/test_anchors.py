"""What was done to the records is found by anchors that were kept elsewhere, whatever was done to the rest as well."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from gateway.audit.anchors import Checkpoint, anchor_line, read_anchors
from gateway.audit.exported import verify_lines
from gateway.audit.pruning import AuditPruner
from gateway.audit.seal import SealCheck
from gateway.audit.walk import AuditReport, Fault
from tests.fakes.identity import Keys
from tests.fixtures.audit import Audit, open_audit
from tests.integration.gateway.audit.test_export import exported
from tests.integration.gateway.audit.test_verify import cut, rewrite_all

TABLES = ("audit_records", "audit_head", "audit_actors", "audit_content", "audit_checkpoints", "audit_prunings")


async def anchor(audit: Audit) -> Checkpoint:
    made = await audit.checkpoints.anchor()
    assert made is not None
    return made


def faults(report: AuditReport) -> set[Fault]:
    return {finding.fault for finding in report.findings}


async def sign_again(audit: Audit) -> None:
    """Forget what was signed, and sign what there is, as whoever has the gateway's key can."""
    await audit.execute("DELETE FROM audit_checkpoints")
    assert await audit.checkpoints.write() is not None


async def cut_off(audit: Audit) -> None:
    await cut(audit, 3)
    await sign_again(audit)


async def cut_off_and_go_on(audit: Audit) -> None:
    await cut_off(audit)
    audit.log._sink._end = None  # as a gateway that is started then
    await audit.fill(8)
    await audit.checkpoints.write()


async def rewritten(audit: Audit) -> None:
    await rewrite_all(audit, 2, 6)
    await sign_again(audit)


async def emptied(audit: Audit) -> None:
    for table in TABLES:
        await audit.execute(f"DELETE FROM {table}")  # noqa: S608 (the names above)


@pytest.mark.parametrize(
    ("tamper", "found"),
    [
        (cut_off, {Fault.REMOVED}), (cut_off_and_go_on, {Fault.CHANGED}), (rewritten, {Fault.CHANGED}),
        (emptied, {Fault.REMOVED}),
    ],
)  # fmt: skip
async def test_what_the_database_does_not_tell_an_anchor_does(
    audit: Audit, tamper: Callable[[Audit], Awaitable[None]], found: set[Fault]
) -> None:
    await audit.fill(6)
    kept = await anchor(audit)
    await tamper(audit)
    assert faults(await audit.verify()) <= ({Fault.REMOVED} if tamper is emptied else set())
    assert faults(await audit.verify(anchors=[kept])) == found


@pytest.mark.parametrize("which", ["number > 0", "number < 3", "number = 2", "number = 3"])
@pytest.mark.parametrize("anchored", [True, False])
async def test_checkpoints_that_were_removed(audit: Audit, which: str, anchored: bool) -> None:
    kept = []
    for _ in range(3):
        await audit.fill(2)
        kept.append(await anchor(audit))
    await audit.execute(f"DELETE FROM audit_checkpoints WHERE {which}")  # noqa: S608 (those above)
    told = anchored or which in ("number < 3", "number = 2")  # what is cut off at the end tells only beside an anchor
    assert faults(await audit.verify(anchors=kept if anchored else ())) == ({Fault.REMOVED} if told else set())


async def test_another_database_in_place_of_the_one(audit: Audit, records_url: str, keys: Keys) -> None:
    await audit.fill(6)
    kept = await anchor(audit)
    await emptied(audit)
    other = await open_audit(records_url, keys)
    await other.fill(9)
    await other.checkpoints.write()
    assert (await other.verify()).sound
    assert faults(await other.verify(anchors=[kept])) == {Fault.CHANGED}
    await other.aclose()


async def test_every_anchor_is_compared_and_what_is_honest_is_sound(audit: Audit, second: Audit) -> None:
    kept = []
    for count in (3, 4, 1):
        await audit.fill(count)
        await second.fill(1)
        kept.append(await anchor(audit))
    assert kept[-1] == await anchor(audit)  # nothing more to sign
    await audit.fill(2)
    report = await audit.verify(anchors=kept)
    assert (report.sound, report.anchors) == (True, 3)


async def test_an_anchor_from_before_a_pruning_is_sound(audit: Audit) -> None:
    await audit.fill(4)
    kept = await anchor(audit)
    await audit.fill(4)
    later = await anchor(audit)
    pruner = AuditPruner(audit.database, audit.checkpoints)
    assert await pruner.prune(later.time) > 0
    assert (await audit.verify(anchors=[kept, later])).sound


@pytest.mark.parametrize(
    "forge",
    [
        lambda one: replace(one, heads=one.heads.replace("[6", "[5")), lambda one: replace(one, number=one.number + 1),
        lambda one: replace(one, time=one.time + 1), lambda one: replace(one, signature="AAAA"),
        lambda one: replace(one, heads="[]"), lambda one: replace(one, heads="garbage"),
    ],
)  # fmt: skip
async def test_an_anchor_that_was_changed_is_a_fault(audit: Audit, forge: Callable[[Checkpoint], Checkpoint]) -> None:
    await audit.fill(6)
    report = await audit.verify(anchors=[forge(await anchor(audit))])
    assert (faults(report), report.anchors) == ({Fault.FORGED}, 0)


async def test_another_key_does_not_make_the_old_signatures_bad(audit: Audit, records_url: str, keys: Keys) -> None:
    await audit.fill(3)
    kept = await anchor(audit)
    later = Keys()
    with_former = await open_audit(records_url, later, [keys.public_pem])
    await with_former.fill(3)
    newer = await anchor(with_former)
    report = await with_former.verify(anchors=[kept, newer])
    assert (report.sound, report.anchors, report.signed) == (True, 2, True)
    lines = await exported(with_former)
    both = SealCheck.read(later.public_pem, keys.public_pem)
    assert verify_lines(lines, both, [kept, newer]).sound
    assert faults(verify_lines(lines, SealCheck.read(later.public_pem), [kept, newer])) == {Fault.FORGED}
    await with_former.aclose()
    alone = await open_audit(records_url, later)
    assert faults(await alone.verify(anchors=[kept, newer])) == {Fault.FORGED}
    await alone.aclose()


async def test_an_export_is_compared_too(audit: Audit) -> None:
    await audit.fill(6)
    earlier = await exported(audit)
    kept = await anchor(audit)
    check = audit.seal.check
    await audit.fill(1)
    whole = await exported(audit)
    assert verify_lines(whole, check, [kept]).sound
    assert verify_lines(earlier, check, [kept]).sound
    await audit.fill(1)
    later = await anchor(audit)
    assert verify_lines(whole, check, [kept, later]).sound, "it was exported before"
    await cut_off(audit)
    short = await exported(audit)
    assert verify_lines(short, check).sound
    assert faults(verify_lines(short, check, [kept])) == {Fault.REMOVED}
    assert faults(verify_lines(short[:-1], None, [kept])) == {Fault.REMOVED}


async def test_an_export_of_a_rewritten_chain(audit: Audit) -> None:
    await audit.fill(6)
    kept = await anchor(audit)
    await rewritten(audit)
    lines = await exported(audit)
    assert verify_lines(lines, audit.seal.check).sound
    assert faults(verify_lines(lines, audit.seal.check, [kept])) == {Fault.CHANGED}


async def test_a_file_of_anchors(audit: Audit) -> None:
    await audit.fill(2)
    first = await anchor(audit)
    await audit.fill(2)
    both = [first, await anchor(audit)]
    lines = [anchor_line(one) for one in both]
    assert read_anchors(lines) == both
    for broken in (b"", b"{}\n", b"[]\n", b"null\n", lines[1][:-20], lines[1].replace(b'"number":', b'"n":')):
        with pytest.raises(ValueError, match="line 2 is no anchor"):
            read_anchors([lines[0], broken])


async def test_nothing_is_signed_of_nothing(audit: Audit) -> None:
    assert await audit.checkpoints.anchor() is None
