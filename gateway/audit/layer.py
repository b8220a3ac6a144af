"""The layer by which every call is audited that nothing further in has audited: outside of the errors' layer."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.audit.entry import Actor, AuditEntry, Decision
from gateway.audit.log import AuditLog
from gateway.usage.record import Usage
from services.runtime.call import Call
from services.runtime.errors import ErrorKind
from services.runtime.interceptors.chain import Serve, T
from services.runtime.records.errors import RecordsUnavailable
from services.runtime.records.writer import Put

log = logging.getLogger(__name__)

ABANDON = "call.abandon"
WAIT_SECONDS = 5.0
PROBE_SECONDS = 1.0
_REFUSED = (ErrorKind.UNAUTHENTICATED, ErrorKind.PERMISSION_DENIED, ErrorKind.RESOURCE_EXHAUSTED)
# What a call's notes may say of it, by the entry's fields.
_NOTED = ("model", "agent_version", "collection", "run_id", "prompt_tokens", "completion_tokens", "cost_nanos")
# What stands among its details.
_DETAILS = ("cache", "prompt", "route")


class Audit:
    """An answer waits until its call is on record. While the records are gone calls are refused if `closed`; if not,
    they are served, and what could not be recorded is logged. `address` returns where a call came from."""

    def __init__(self, audit: AuditLog, address: Callable[[Call], str], *, closed: bool) -> None:
        self._audit = audit
        self._address = address
        self._closed = closed
        self._failed: float | None = None

    async def around(self, call: Call, serve: Serve[T]) -> T:
        call.address = self._address(call)
        try:
            return await serve()
        finally:
            if call.identity is None:
                self._audit.attempt(call.address, call.reason)
            elif not call.audited:
                call.audited = True
                await self._record(entry_of(call, call.address))

    def check(self) -> None:
        """Raises RecordsUnavailable while nothing can be recorded and that is not to happen; one call a second tries.
        Called further in, once it is known who calls."""
        if self._closed and self._failed is not None:
            if time.monotonic() - self._failed < PROBE_SECONDS:
                raise RecordsUnavailable("the audit cannot be written for now")
            self._failed = time.monotonic()

    def put(self, entry: AuditEntry) -> Put:
        """The entry, to be written together with what it records; report afterwards whether it was."""
        return self._audit.put(entry)

    async def abandoned(self, connection: AsyncConnection, calls: Sequence[Usage]) -> None:
        """Record calls whose gateway has died, in the transaction that makes usage of them."""
        await self._audit.append(connection, [abandoned_entry(call) for call in calls])

    def missed(self) -> None:
        """A call could not be recorded."""
        self._failed = time.monotonic()

    def recorded(self) -> None:
        """One could."""
        self._failed = None

    async def _record(self, entry: AuditEntry) -> None:
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await asyncio.shield(self._audit.record(entry))
        except (RecordsUnavailable, TimeoutError):
            self.missed()
            values = {"action": entry.action, "tenant": entry.actor.tenant, "decision": entry.decision.value}
            log.error("not on record", extra=values | {"reason": entry.reason, "key": entry.actor.key})  # noqa: TRY400
        else:
            self.recorded()


def actor_of(call: Call, address: str) -> Actor:
    who = call.identity
    return Actor(who.tenant, who.subject, who.key, address) if who else Actor(address=address)


def entry_of(call: Call, address: str, **fields: Any) -> AuditEntry:
    """What the audit says of a call, from its status and its notes; `fields` come before those."""
    noted = {name: call.notes[name] for name in _NOTED if name in call.notes}
    guards = call.notes.get("guards", ())
    values: dict[str, Any] = {
        "action": call.method,
        "decision": _decision(call),
        "actor": actor_of(call, address),
        "project": call.identity.project if call.identity else "",
        "reason": call.reason,
        "request_id": call.request_id,
        "guards": tuple(map(str, guards)) if isinstance(guards, list | tuple) else (),
        "details": {name: str(call.notes[name]) for name in _DETAILS if name in call.notes},
        **noted,
    }
    return AuditEntry(**{**values, **fields})


def abandoned_entry(call: Usage) -> AuditEntry:
    """What is known of a call whose gateway has died; what it did may never be."""
    return AuditEntry(
        ABANDON, Decision.FAILED, Actor(call.tenant, call.subject, call.key), project=call.project,
        reason=call.finish_reason, model=call.agent or call.model, agent_version=call.agent_version, run_id=call.run_id,
        prompt_tokens=call.prompt_tokens, completion_tokens=call.completion_tokens, cost_nanos=call.cost_nanos,
    )  # fmt: skip


def _decision(call: Call) -> Decision:
    noted = call.notes.get("decision")
    if isinstance(noted, str) and noted in {each.value for each in Decision}:
        return Decision(noted)
    if call.code == 0:
        return Decision.ALLOWED
    return Decision.REFUSED if call.code in _REFUSED else Decision.FAILED


class AuditBreaker:
    """The layer inside of authentication that refuses calls which could not be recorded."""

    def __init__(self, audit: Audit) -> None:
        self._audit = audit

    async def around(self, call: Call, serve: Serve[T]) -> T:
        self._audit.check()
        return await serve()
