"""The retention worker on one of the replicas: expires what is old, and resumes erasures that broke off."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence

from gateway.audit.entry import Actor, AuditEntry, Decision
from gateway.audit.log import AuditLog
from gateway.audit.pruning import AuditPruner
from gateway.privacy.model import ExpiringSource
from gateway.privacy.policies import KINDS, RetentionPolicies
from gateway.privacy.service import Privacy
from services.runtime.errors import DomainError
from services.runtime.records.errors import RecordsUnavailable
from services.runtime.records.lease import Lease

log = logging.getLogger(__name__)

DAY = 86_400.0
# An erasure that nobody has been at for so long has broken off.
ABANDONED_SECONDS = 300.0
BY = "headworks/retention"


class RetentionWorker:
    """`tenants` names all that there are. `audit_days`: how long records of the audit are kept, 0 for ever. The work is
    looked for every `look_seconds`, what is old every `age_seconds`; the lease must outlast two looks."""

    def __init__(
        self,
        lease: Lease,
        privacy: Privacy,
        policies: RetentionPolicies,
        sources: Sequence[ExpiringSource],
        pruner: AuditPruner,
        audit: AuditLog,
        tenants: Callable[[], Awaitable[Sequence[str]]],
        *,
        audit_days: int = 0,
        look_seconds: float = 60.0,
        age_seconds: float = 3600.0,
    ) -> None:
        self._lease = lease
        self._privacy = privacy
        self._policies = policies
        self._sources = sources
        self._pruner = pruner
        self._audit = audit
        self._tenants = tenants
        self._audit_days = audit_days
        self._look_seconds = look_seconds
        self._age_seconds = age_seconds
        self._aged = float("-inf")
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        self._task = asyncio.create_task(self._run(), name="retention")

    async def aclose(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            try:
                await self._lease.leave()
            except RecordsUnavailable:
                log.warning("the lease of retention was not given back; it expires")

    async def look(self) -> None:
        """Do what is to be done, if this replica is the one. Raises DomainError."""
        if not await self._lease.hold():
            return
        await self._privacy.resume(ABANDONED_SECONDS)
        if time.monotonic() - self._aged >= self._age_seconds:
            await self.expire()
            self._aged = time.monotonic()

    async def expire(self) -> None:
        """Erase what is older than each tenant has it kept."""
        for tenant in await self._tenants():
            for kind in KINDS:
                await self._expire(tenant, kind)
                await self._lease.hold()
        if self._audit_days:
            erased = await self._pruner.prune(time.time() - self._audit_days * DAY)
            await self._record("", "audit", erased)

    async def _expire(self, tenant: str, kind: str) -> None:
        days = self._policies.days(tenant, kind)
        if not days:
            return
        before, erased = time.time() - days * DAY, 0
        for source in self._sources:
            try:
                erased += await source.expire(tenant, kind, before)
            except DomainError as error:
                log.warning("what is old was not erased", extra={"tenant": tenant, "of": kind, "reason": error.reason})
        await self._record(tenant, kind, erased)

    async def _record(self, tenant: str, kind: str, erased: int) -> None:
        if erased:
            details = {"of": kind, "erased": str(erased)}
            actor = Actor(tenant, BY)
            await self._audit.record(AuditEntry("data.expire", Decision.ALLOWED, actor, details=details))

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._look_seconds)
            try:
                await self.look()
            except DomainError as error:
                log.warning("data was not looked after; it is tried again", extra={"reason": error.reason})
            except Exception:
                log.exception("data was not looked after; it is tried again")
