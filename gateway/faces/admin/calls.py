"""Calls of administrators: who makes them, the tenant they are about, and their changes, recorded as they are made."""

import logging
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from google.protobuf.message import Message
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.access.authorize import OTHER_TENANTS, authorize, tenant_for
from gateway.audit.entry import Actor, AuditEntry, Decision
from gateway.audit.layer import actor_of, entry_of
from gateway.audit.log import AuditLog
from gateway.faces.admin.fields import storable
from gateway.identity.store.tenants import TenantStore
from gateway.metadata import NewId, new_id
from services.runtime.call import Call
from services.runtime.errors import Unauthenticated
from services.runtime.identity import Identity
from services.runtime.interceptors.pipeline import Context, call_of
from services.runtime.records.changes import Changes
from services.runtime.records.database import Database
from services.runtime.records.errors import RecordsUnavailable

LOG = logging.getLogger(__name__)
READ = "read"
WRITE = "write"
# What identifies persons, is secret, or is long; and what adds nothing.
LEFT_OUT = frozenset({"display_name", "spec", "subject", "confirm", "headers", "client_secret"})
LEFT_OUT_OF = frozenset({("CreatePrincipalRequest", "name"), ("CreateApiKeyRequest", "name")})
LONGEST = 200


@dataclass(frozen=True, slots=True)
class AdminCall:
    """A call of an administrator, and what its stores are made of. `verb` is READ or WRITE: the permission that the
    caller needs for another tenant."""

    caller: Identity
    actor: Actor
    verb: str
    database: Database
    new_id: NewId = new_id

    def tenant(self, requested: str) -> str:
        """The tenant that the call is about: the caller's own where none is named. Raises PermissionDenied."""
        return tenant_for(self.caller, requested, self.verb)

    async def known_tenant(self, requested: str) -> str:
        """The same, of a tenant that is there: what is made for one that is not would guard nobody. Raises NotFound,
        too."""
        return (await TenantStore(self.database).get(self.tenant(requested))).id

    def every_tenant(self) -> None:
        """Check that the call may be about all tenants. Raises PermissionDenied."""
        authorize(self.caller, f"{OTHER_TENANTS}:{self.verb}")


class AdminCalls:
    """Begins every call of administrators. `changes` lets this replica follow a change before it is answered."""

    def __init__(self, database: Database, audit: AuditLog, changes: Changes) -> None:
        self._database = database
        self._audit = audit
        self._changes = changes

    def begin(self, request: Message, context: Context, verb: str = READ) -> AdminCall:
        """A call that changes nothing, or whose domain records what it does. Raises InvalidArgument."""
        storable(request)
        call = call_of(context)
        return AdminCall(_caller(call), actor_of(call, call.address), verb, self._database)

    @asynccontextmanager
    async def change(self, request: Message, context: Context) -> AsyncIterator[AdminCall]:
        """A call whose every transaction records it, as what `request` asks for; one that succeeds without any is
        recorded at its end. Raises InvalidArgument, RecordsUnavailable."""
        storable(request)
        call = call_of(context)
        caller, details = _caller(call), dict(facts(request))
        entry = entry_of(call, call.address, decision=Decision.ALLOWED, reason="", details=details)
        record = _ChangeRecord(self._audit, entry)
        yield AdminCall(caller, entry.actor, WRITE, self._database.observed(record.append), record.new_id)
        await record.finish()
        call.audited = True
        try:
            await self._changes.look()
        except RecordsUnavailable:
            LOG.warning("a change is made, and this replica has yet to follow it")


class _ChangeRecord:
    """The audit's entry of a change, with the ids that the change makes."""

    def __init__(self, audit: AuditLog, entry: AuditEntry) -> None:
        self._audit = audit
        self._entry = entry
        self._ids: list[str] = []
        self._recorded = False

    def new_id(self, prefix: str) -> str:
        made = new_id(prefix)
        self._ids.append(made)
        return made

    async def append(self, connection: AsyncConnection) -> None:
        """Record the change in the transaction that makes it."""
        await self._audit.append(connection, [self._complete()])
        self._recorded = True

    async def finish(self) -> None:
        """Record what no transaction has recorded. Raises RecordsUnavailable."""
        if not self._recorded:
            await self._audit.record(self._complete())

    def _complete(self) -> AuditEntry:
        made = {"made": ",".join(self._ids)} if self._ids else {}
        return replace(self._entry, details={**self._entry.details, **made})


def facts(request: Message) -> Iterator[tuple[str, str]]:
    """The fields of a request that the audit records: names and figures, no text."""
    kind = request.DESCRIPTOR.name
    for field, value in request.ListFields():
        if field.name not in LEFT_OUT and (kind, field.name) not in LEFT_OUT_OF:
            yield field.name, _plain(field, value)[:LONGEST]


def _caller(call: Call) -> Identity:
    if call.identity is None:
        raise Unauthenticated("the call has no identity")
    return call.identity


def _plain(field: Any, value: Any) -> str:
    if isinstance(value, Message):
        return str(value.ToJsonString()) if hasattr(value, "ToJsonString") else ""
    if field.enum_type is not None:
        return str(field.enum_type.values_by_number[value].name) if value in field.enum_type.values_by_number else ""
    if isinstance(value, str | int | float | bool):
        return str(value)
    return ",".join(f"{one}={value[one]}" if isinstance(value, Mapping) else str(one) for one in value)
