"""Where a chain may begin: what is removed from its front is found, unless the gateway has signed for it."""

import time
from typing import Any

import pytest
from sqlalchemy import text

from gateway.audit.anchors import ChainHead
from gateway.audit.checkpoints import checkpoint_of, heads_json
from gateway.audit.pruning import ADOPT, AuditPruner
from gateway.audit.seal import PRUNING, UNSPECIFIED, one_chain_text, pruning_text
from gateway.audit.walk import Fault
from tests.fakes.identity import Keys
from tests.fixtures.audit import Audit, open_audit
from tests.integration.gateway.audit.test_verify import told

DAY = 86_400.0


async def rows(audit: Audit, query: str, **values: object) -> list[Any]:
    async with audit.database.read() as connection:
        return list((await connection.execute(text(query), values)).all())


async def signed(audit: Audit, *parts: int) -> None:
    """Parts of so many records, each with an ordinary checkpoint at its end."""
    for count in parts:
        await audit.fill(count)
        assert await audit.checkpoints.write() is not None


async def behead(audit: Audit, until: int) -> None:
    """Remove all up to a record, and put right what says where the chain begins."""
    [(hashed,)] = await rows(audit, "SELECT hash FROM audit_records WHERE sequence = :until", until=until)
    await audit.execute("DELETE FROM audit_records WHERE sequence <= :until", until=until)
    await audit.execute("UPDATE audit_head SET base_sequence = :until, base_hash = :hash", until=until, hash=hashed)


async def make_old(audit: Audit) -> None:
    """The log as it was before signatures stated their purpose: one form for checkpoints and for marks of pruning."""
    signed = {row.sequence: (row.hash, row.time) for row in await rows(audit, "SELECT * FROM audit_prunings")}
    for row in await rows(audit, "SELECT * FROM audit_checkpoints"):
        end = checkpoint_of(row).ends[1]
        signed[end.sequence] = end.hash, row.time
    await audit.execute("DELETE FROM audit_checkpoints")
    for number, (sequence, (hashed, when)) in enumerate(sorted(signed.items()), 1):
        await audit.execute(
            "INSERT INTO audit_checkpoints VALUES (:number, :heads, :time, :signature)",
            number=number, heads=heads_json({1: ChainHead(sequence, hashed)}), time=when,
            signature=audit.seal.sign(UNSPECIFIED, one_chain_text(sequence, hashed, when)),
        )  # fmt: skip
    await audit.execute("DELETE FROM audit_prunings")


async def opened_again(url: str, keys: Keys) -> None:
    """A gateway starts on the database."""
    await (await open_audit(url, keys)).aclose()


@pytest.mark.parametrize("older", [True, False], ids=["older checkpoints left", "older checkpoints removed"])
async def test_an_ordinary_checkpoint_is_no_beginning(audit: Audit, older: bool, records_url: str, keys: Keys) -> None:
    await signed(audit, 3, 3, 4)
    await behead(audit, 6)
    if not older:
        await audit.execute("DELETE FROM audit_checkpoints WHERE number < 2")
    assert (Fault.FORGED, 6) in told(await audit.verify())
    assert (Fault.FORGED, 6) in told(await audit.verify(after=10))
    await opened_again(records_url, keys)
    assert (Fault.FORGED, 6) in told(await audit.verify())


async def test_a_checkpoint_is_not_made_a_mark_of_pruning(audit: Audit) -> None:
    await signed(audit, 6, 4)
    await behead(audit, 6)
    await audit.execute(
        "INSERT INTO audit_prunings (sequence, hash, time, rule, signature)"
        " SELECT 6, (SELECT base_hash FROM audit_head), time, 'older than ever', signature FROM audit_checkpoints"
        " WHERE number = 1"
    )
    assert (Fault.FORGED, 6) in told(await audit.verify())


async def test_a_mark_of_pruning_is_for_its_own_place_and_rule(audit: Audit) -> None:
    await signed(audit, 4)
    assert await AuditPruner(audit.database, audit.checkpoints).prune(time.time() + DAY) == 3
    await signed(audit, 4, 2)
    report = await audit.verify()
    assert (report.sound, report.first) == (True, 4)
    [(rule,)] = await rows(audit, "SELECT rule FROM audit_prunings")
    assert rule.startswith("older than ")
    await audit.execute("UPDATE audit_prunings SET rule = 'older than the sun'")
    assert told(await audit.verify()) == {(Fault.FORGED, 3)}
    await audit.execute("UPDATE audit_prunings SET rule = :rule", rule=rule)
    assert (await audit.verify()).sound
    await behead(audit, 8)
    await audit.execute("UPDATE audit_prunings SET sequence = 8, hash = (SELECT base_hash FROM audit_head)")
    assert (Fault.FORGED, 8) in told(await audit.verify())


async def test_what_was_signed_before_the_beginning_is_held_against_it(audit: Audit) -> None:
    """Marked rightly, yet with a checkpoint that pruning would have removed."""
    await signed(audit, 3, 3, 4)
    await behead(audit, 6)
    [(hashed,)] = await rows(audit, "SELECT base_hash FROM audit_head")
    signature = audit.seal.sign(PRUNING, pruning_text(1, 6, hashed, 1.0, "r"))
    await audit.execute(
        "INSERT INTO audit_prunings (sequence, hash, time, rule, signature) VALUES (6, :hash, 1.0, 'r', :signature)",
        hash=hashed, signature=signature,
    )  # fmt: skip
    assert told(await audit.verify()) == {(Fault.REMOVED, 3)}


@pytest.mark.parametrize("pruned", [True, False], ids=["pruned", "whole"])
async def test_a_log_of_before_is_sound_and_is_signed_for_once(
    audit: Audit, pruned: bool, records_url: str, keys: Keys
) -> None:
    await signed(audit, 4)
    if pruned:
        assert await AuditPruner(audit.database, audit.checkpoints).prune(time.time() + DAY) == 3
    await signed(audit, 4, 2)
    await make_old(audit)
    for _ in range(2):
        await opened_again(records_url, keys)
        report = await audit.verify()
        assert report.sound, report.findings
        assert report.chains[1].first == (4 if pruned else 1)
        assert report.records == (8 if pruned else 11)
    assert len(await rows(audit, "SELECT 1 FROM audit_records WHERE record LIKE :like", like=f"%{ADOPT}%")) == 1
    assert await AuditPruner(audit.database, audit.checkpoints).prune(time.time() + DAY) > 0
    assert (await audit.verify()).sound


@pytest.mark.parametrize("cover", ["", "DELETE FROM audit_prunings"], ids=["marks left", "marks removed"])
async def test_a_log_of_before_is_not_beheaded_at_one_of_its_checkpoints(
    audit: Audit, cover: str, records_url: str, keys: Keys
) -> None:
    await signed(audit, 4, 4)
    await make_old(audit)
    await opened_again(records_url, keys)
    assert (await audit.verify()).sound
    await behead(audit, 4)
    if cover:
        await audit.execute(cover)
    await opened_again(records_url, keys)
    assert (Fault.FORGED, 4) in told(await audit.verify())


async def test_what_does_not_stand_the_check_is_not_pruned(audit: Audit) -> None:
    """Or whoever may write to the database has the gateway sign for the removal of what he made old."""
    await signed(audit, 6)
    await audit.execute("UPDATE audit_records SET time = 1 WHERE sequence < 5")
    assert await AuditPruner(audit.database, audit.checkpoints).prune(time.time() - DAY) == 0
    assert (Fault.CHANGED, 1) in told(await audit.verify())
