"""Every change by an administrator, on record in the transaction that makes it."""

from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

from google.protobuf.message import Message
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.audit.entry import AuditEntry, Decision
from gateway.audit.layer import entry_of
from gateway.audit.log import AuditLog
from services.runtime.call import Call, current
from services.runtime.interceptors.pipeline import Context

# What tells of persons, or is long; and what says nothing.
LEFT_OUT = frozenset({"display_name", "spec", "subject", "confirm"})
LEFT_OUT_OF = frozenset({("CreatePrincipalRequest", "name"), ("CreateApiKeyRequest", "name")})
LONGEST = 200

_entry: ContextVar[AuditEntry] = ContextVar("change")


class Recorder:
    """`address` tells where a call came from."""

    def __init__(self, audit: AuditLog, address: Callable[[Call, Context], str]) -> None:
        self._audit = audit
        self._address = address

    def begin(self, request: Message, context: Context) -> None:
        """Whatever this call changes from here on is recorded as what `request` asks for."""
        call = current()
        told = dict(facts(request))
        address = self._address(call, context)
        _entry.set(entry_of(call, address, decision=Decision.ALLOWED, reason="", details=told))

    async def before_commit(self, connection: AsyncConnection) -> None:
        """For Database.observed: the stores of administrators are made on such a one."""
        await self._audit.append(connection, [_entry.get()])


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
    return str(value) if isinstance(value, str | int | float | bool) else ",".join(map(str, value))
