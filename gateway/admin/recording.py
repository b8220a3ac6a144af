"""Every change by an administrator, on record in the transaction that makes it."""

from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any

from google.protobuf.message import Message
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.audit.entry import Actor, AuditEntry, Decision
from gateway.audit.layer import entry_of
from gateway.audit.log import AuditLog
from gateway.metadata import collect_ids
from services.runtime.call import Call, current
from services.runtime.interceptors.pipeline import Context

# What tells of persons, or is long; and what says nothing.
LEFT_OUT = frozenset({"display_name", "spec", "subject", "confirm"})
LEFT_OUT_OF = frozenset({("CreatePrincipalRequest", "name"), ("CreateApiKeyRequest", "name")})
LONGEST = 200

_change: ContextVar["_Change"] = ContextVar("change")


@dataclass(slots=True)
class _Change:
    """`made`: the ids of what it has made so far."""

    entry: AuditEntry
    made: list[str]
    recorded: bool = False

    def told(self) -> AuditEntry:
        made = {"made": ",".join(self.made)} if self.made else {}
        return replace(self.entry, details={**self.entry.details, **made})


class Recorder:
    """`address` tells where a call came from."""

    def __init__(self, audit: AuditLog, address: Callable[[Call], str]) -> None:
        self._audit = audit
        self._address = address

    def begin(self, request: Message, context: Context) -> None:
        """Whatever this call changes from here on is recorded as what `request` asks for."""
        call, told = current(), dict(facts(request))
        address = self._address(call)
        entry = entry_of(call, address, decision=Decision.ALLOWED, reason="", details=told)
        _change.set(_Change(entry, collect_ids()))

    async def before_commit(self, connection: AsyncConnection) -> None:
        """For Database.observed: the stores of administrators are made on such a one."""
        change = _change.get()
        await self._audit.append(connection, [change.told()])
        change.recorded = True

    async def end(self) -> None:
        """The call is well: what no transaction has recorded is recorded now. Raises RecordsUnavailable."""
        if not _change.get().recorded:
            await self._audit.record(_change.get().told())
        current().audited = True

    def actor(self) -> Actor:
        """Who makes the call that has begun."""
        return _change.get().entry.actor


def facts(request: Message) -> Iterator[tuple[str, str]]:
    """The fields of a request that the audit tells: names and figures, no text."""
    kind = request.DESCRIPTOR.name
    for field, value in request.ListFields():
        if field.name not in LEFT_OUT and (kind, field.name) not in LEFT_OUT_OF:
            yield field.name, _told(field, value)[:LONGEST]


def _told(field: Any, value: Any) -> str:
    if isinstance(value, Message):
        return str(value.ToJsonString()) if hasattr(value, "ToJsonString") else ""
    if field.enum_type is not None:
        return str(field.enum_type.values_by_number[value].name) if value in field.enum_type.values_by_number else ""
    if isinstance(value, str | int | float | bool):
        return str(value)
    return ",".join(f"{one}={value[one]}" if isinstance(value, Mapping) else str(one) for one in value)
