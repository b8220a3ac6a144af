"""Data rights as the admin API has them."""

import logging
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from gateway.audit.entry import Actor, AuditEntry, Decision
from gateway.audit.log import AuditLog
from gateway.privacy.erasures import Erasure, ErasureStore
from gateway.privacy.holders.holder import Counts, Holder, Whose
from services.runtime.errors import DomainError

log = logging.getLogger(__name__)

SAVE_SECONDS = 5.0
# Drops what this process remembers of them.
Forget = Callable[[Whose], None]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an erasure is: `erased` of `kind` so far. `done` is set on the last, which has no kind."""

    erasure: str
    kind: str = ""
    erased: int = 0
    done: bool = False


class Privacy:
    """`holders` in the order in which they are erased: what others are found by comes last. `caches` are told when all
    is erased."""

    def __init__(
        self, erasures: ErasureStore, holders: Sequence[Holder], audit: AuditLog, caches: Sequence[Forget] = ()
    ) -> None:
        self._erasures = erasures
        self._holders = holders
        self._audit = audit
        self._caches = caches

    async def export(
        self, tenant: str, subject: str | None = None, actor: Actor | None = None
    ) -> AsyncGenerator[dict[str, object], None]:
        """All that is kept, an item at a time; each has a "kind". `actor` is who asked, for the audit."""
        whose = Whose(tenant, subject or "")
        await self._audit.record(_entry("data.export", whose, actor))
        for holder in self._holders:
            async with aclosing(holder.export(whose)) as items:
                async for item in items:
                    yield item

    async def erase(
        self, tenant: str, subject: str | None = None, actor: Actor | None = None
    ) -> AsyncGenerator[Progress, None]:
        """Erase it. Raises DomainError where a part cannot be reached; asked again, it goes on with that part, and if
        nobody asks, the leader among the replicas does."""
        whose = Whose(tenant, subject or "")
        erasure = await self._erasures.begin(whose)
        await self._audit.record(_entry("data.erase", whose, actor, erasure=erasure.id, state="begun"))
        async with aclosing(self._erase(erasure, actor)) as steps:
            async for step in steps:
                yield step

    async def resume(self, seconds: float) -> int:
        """Go on with erasures that nobody has been at for so long; how many are through."""
        ended = 0
        for erasure in await self._erasures.abandoned(seconds):
            async with aclosing(self._erase(erasure, None)) as steps:
                async for step in steps:
                    ended += step.done
        return ended

    async def _erase(self, erasure: Erasure, actor: Actor | None) -> AsyncGenerator[Progress, None]:
        for holder in self._holders:
            if holder.name in erasure.done:
                continue
            try:
                async with aclosing(self._part(erasure, holder)) as steps:
                    async for step in steps:
                        yield step
            except DomainError as error:
                log.warning(
                    "an erasure broke off", extra={"erasure": erasure.id, "at": holder.name, "why": error.reason}
                )
                await self._erasures.save(erasure)
                raise
            erasure.done.append(holder.name)
            await self._erasures.save(erasure)
        for forget in self._caches:
            forget(erasure.whose)
        counts = {kind: str(count) for kind, count in erasure.counts.items() if count}
        told = _entry("data.erase", erasure.whose, actor, erasure=erasure.id, state="done", **counts)
        await self._audit.record(told)
        await self._erasures.end(erasure)
        yield Progress(erasure.id, done=True)

    async def _part(self, erasure: Erasure, holder: Holder) -> AsyncGenerator[Progress, None]:
        before, saved = dict(erasure.counts), time.monotonic()
        told: dict[str, int] = {}
        async with aclosing(holder.erase(erasure.whose)) as parts:
            async for counts in parts:
                for kind, count in _news(counts, told):
                    told[kind] = count
                    erasure.counts[kind] = before.get(kind, 0) + count
                    yield Progress(erasure.id, kind, erasure.counts[kind])
                if time.monotonic() - saved > SAVE_SECONDS:
                    await self._erasures.save(erasure)
                    saved = time.monotonic()


def _news(counts: Counts, told: Counts) -> list[tuple[str, int]]:
    return [(kind, count) for kind, count in counts.items() if told.get(kind) != count]


def _entry(action: str, whose: Whose, actor: Actor | None, **details: str) -> AuditEntry:
    """Says that it was a person, and not which: the audit is to forget it too."""
    told = {"of": "subject" if whose.subject else "tenant", **details}
    return AuditEntry(action, Decision.ALLOWED, actor or Actor(whose.tenant, "headworks/privacy"), details=told)
