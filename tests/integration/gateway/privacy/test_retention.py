"""Nothing is kept for longer than it should be, and one replica at a time sees to it."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest

from gateway.audit.entry import Content
from gateway.audit.exported import verify_lines
from gateway.audit.pruning import AuditPruner
from gateway.audit.store import AuditFilter, export_lines
from gateway.audit.walk import Fault
from gateway.privacy.own_records import AuditData
from gateway.privacy.policies import RetentionPolicies, RetentionPolicy
from gateway.privacy.retention import DAY, RetentionWorker
from gateway.privacy.service import ErasureStore, Privacy
from services.runtime.errors import InvalidArgument, Unavailable
from services.runtime.records.lease import Lease
from tests.fakes.serving import until
from tests.fixtures.audit import ANN, BOB, Audit, entry


@dataclass
class FakePlace:
    """Has one old thing of each kind."""

    error: Exception | None = None
    asked: list[tuple[str, str, float]] = field(default_factory=list)

    async def expire(self, tenant: str, kind: str, before: float) -> int:
        self.asked.append((tenant, kind, before))
        if self.error:
            raise self.error
        return 1


async def tenants() -> Sequence[str]:
    return ["acme", "other"]


def policies(audit: Audit, **days: int) -> RetentionPolicies:
    return RetentionPolicies(audit.database, audit.changes, content=frozenset({"acme"}), days=days)


def keeper(
    audit: Audit, kept: RetentionPolicies, *places: FakePlace, audit_days: int = 0, name: str = "a"
) -> RetentionWorker:
    lease = Lease(audit.database, "retention", name, 60)
    pruner = AuditPruner(audit.database, audit.checkpoints)
    rights = Privacy(ErasureStore(audit.database), [], audit.log)
    return RetentionWorker(lease, rights, kept, places, pruner, audit.log, tenants, audit_days=audit_days)


async def test_by_tenant_and_kind(audit: Audit) -> None:
    kept = policies(audit, runs=30, usage=0)
    await kept.set("other", RetentionPolicy(days={"runs": 7, "sessions": 1}))
    await audit.changes.look()
    gone, place = FakePlace(Unavailable("gone")), FakePlace()
    await keeper(audit, kept, gone, place).look()
    now = time.time()
    assert [(tenant, kind, round((now - before) / DAY)) for tenant, kind, before in place.asked] == [
        ("acme", "runs", 30), ("other", "runs", 7), ("other", "sessions", 1),
    ]  # fmt: skip
    told = [one.fields["details"] for one in await audit.store.page(AuditFilter())]
    assert told == [{"of": "runs", "erased": "1"}] * 2 + [{"of": "sessions", "erased": "1"}]


async def test_one_replica_does_it(audit: Audit) -> None:
    kept, first, second = policies(audit, runs=1), FakePlace(), FakePlace()
    one, other = keeper(audit, kept, first, name="a"), keeper(audit, kept, second, name="b")
    for _ in range(2):
        await one.look()
        await other.look()
    assert (len(first.asked), len(second.asked)) == (2, 0)
    await one.open()
    await one.aclose()
    await other.look()
    assert len(second.asked) == 2


async def test_a_lease_expires(audit: Audit) -> None:
    """Its length is that of whoever watches it."""
    holder, other = Lease(audit.database, "x", "a", 60), Lease(audit.database, "x", "b", 0.0)
    assert await holder.hold()
    await until(other.hold)
    assert not await holder.hold()
    assert await other.hold()


async def test_what_tenants_want(audit: Audit) -> None:
    kept = policies(audit, runs=30)
    assert (kept.keeps_content("acme"), kept.keeps_content("other")) == (True, False)
    await kept.set("other", RetentionPolicy(content=True, days={"usage": 10}))
    await kept.set("acme", RetentionPolicy(content=False))
    await audit.changes.look()
    assert (kept.keeps_content("acme"), kept.keeps_content("other")) == (False, True)
    assert [kept.days("other", kind) for kind in ("runs", "usage", "sessions")] == [30, 10, 0]
    for days in ({"runs": -1}, {"runs": 10**6}, {"jobs": 1}):
        with pytest.raises(InvalidArgument):
            await kept.set("acme", RetentionPolicy(days=days))


async def test_content_expires_and_records_stay(audit: Audit) -> None:
    old = replace(entry(1, ANN, Content("old")), time=time.time() - 2 * DAY)
    for each in (old, entry(2, ANN, Content("new")), replace(old, actor=BOB)):
        await audit.log.record(each)
    assert await AuditData(audit.database, audit.store).expire("acme", "audit_content", time.time() - DAY) == 1
    kept = [one.content is not None for one in await audit.store.page(AuditFilter(), content=True)]
    assert kept == [False, True, True]
    assert (await audit.verify()).sound


async def test_the_chain_is_cut_at_a_signed_place(audit: Audit) -> None:
    then = time.time() - 10 * DAY
    for number in range(6):
        await audit.log.record(replace(entry(number, ANN, Content("old")), time=then))
    await audit.log.record(entry(7, BOB))
    pruner = AuditPruner(audit.database, audit.checkpoints)
    assert await pruner.prune(time.time() - 20 * DAY) == 0
    assert await pruner.prune(time.time() - DAY) == 6
    assert await pruner.prune(time.time() - DAY) == 0
    await audit.fill(3)
    report = await audit.verify()
    assert (report.sound, report.first, report.records) == (True, 7, 4)
    lines = [line async for line in export_lines(audit.store, audit.seal, AuditFilter())]
    assert verify_lines(lines, audit.seal.check).sound
    await audit.execute("UPDATE audit_prunings SET signature = 'AAAA'")
    assert Fault.FORGED in {found.fault for found in (await audit.verify()).findings}


async def test_nobody_else_can_cut_it(audit: Audit) -> None:
    await audit.fill(6)
    await audit.execute("DELETE FROM audit_records WHERE sequence <= 3")
    await audit.execute(
        "UPDATE audit_head SET base_sequence = 3, base_hash = (SELECT previous FROM audit_records WHERE sequence = 4)"
    )
    assert {(found.fault, found.sequence) for found in (await audit.verify()).findings} == {(Fault.FORGED, 3)}


async def test_all_may_be_old(audit: Audit) -> None:
    await audit.fill(5)
    await keeper(audit, policies(audit), audit_days=0).expire()
    assert await AuditPruner(audit.database, audit.checkpoints).prune(time.time() + DAY) == 4
    await audit.fill(1)
    assert ((await audit.verify()).sound, (await audit.verify()).first) == (True, 5)
