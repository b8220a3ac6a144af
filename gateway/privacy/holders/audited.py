"""The audit: content is erased; of who acted the name, the key and the address are; the chain stays whole."""

from collections.abc import AsyncGenerator

import orjson
from sqlalchemy import ColumnElement, delete, select, tuple_

from gateway.audit.log import ACTORS_CHANGED
from gateway.audit.store import AuditFilter, AuditStore
from gateway.audit.tables import ACTORS, CONTENT
from gateway.privacy.holders.holder import Counts, Whose
from services.runtime.records.changes import bump
from services.runtime.records.database import Database
from services.runtime.records.secure_delete import erasing

AT_ONCE = 2_000


class AuditData:
    name = "audit"

    def __init__(self, database: Database, store: AuditStore) -> None:
        self._database = database
        self._store = store

    async def export(self, whose: Whose) -> AsyncGenerator[dict[str, object], None]:
        async for one in self._store.all(AuditFilter(whose.tenant, whose.subject), content=True):
            actor = {name: value for name, value in (one.actor or {}).items() if name != "salt"}
            said = orjson.loads(one.content["data"]) if one.content else {}
            yield {"kind": "audit", **one.fields, "actor": actor, **said}

    async def erase(self, whose: Whose) -> AsyncGenerator[Counts, None]:
        contents = actors = 0
        by = select(ACTORS.c.ref).where(_actors(whose))
        while some := await self._delete_content(CONTENT.c.actor.in_(by)):
            contents += some
            yield {"audit_content": contents, "audit_actors": actors}
        while some := await self._delete_actors(whose):
            actors += some
            yield {"audit_content": contents, "audit_actors": actors}
        yield {"audit_content": contents, "audit_actors": actors}

    async def expire(self, tenant: str, kind: str, before: float) -> int:
        """See Ages. Records themselves are all tenants' and expire together: see Pruner."""
        erased = 0
        if kind == "audit_content":
            old = (CONTENT.c.tenant == tenant) & (CONTENT.c.time < before)
            while some := await self._delete_content(old):
                erased += some
        return erased

    async def _delete_content(self, which: ColumnElement[bool]) -> int:
        some = select(CONTENT.c.chain, CONTENT.c.sequence).where(which).limit(AT_ONCE)
        these = tuple_(CONTENT.c.chain, CONTENT.c.sequence).in_(some)
        async with erasing(self._database) as connection:
            return (await connection.execute(delete(CONTENT).where(these))).rowcount

    async def _delete_actors(self, whose: Whose) -> int:
        some = select(ACTORS.c.ref).where(_actors(whose)).limit(AT_ONCE)
        async with erasing(self._database) as connection:
            gone = (await connection.execute(delete(ACTORS).where(ACTORS.c.ref.in_(some)))).rowcount
            if gone:
                await bump(connection, ACTORS_CHANGED)
        return gone


def _actors(whose: Whose) -> ColumnElement[bool]:
    mine = ACTORS.c.tenant == whose.tenant
    return mine & (ACTORS.c.subject == whose.subject) if whose.subject else mine
