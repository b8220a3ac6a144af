"""What the gateway's own records hold of a data subject: usage and limits, the audit, and the principal."""

from collections.abc import AsyncGenerator

import orjson
from sqlalchemy import ColumnElement, delete, select, tuple_, update

from gateway.audit.log import ACTORS_CHANGED
from gateway.audit.store import AuditFilter, AuditStore
from gateway.audit.tables import ACTORS, CONTENT
from gateway.identity.change_log import changed
from gateway.identity.tables import API_KEYS, PRINCIPALS
from gateway.limits.tables import LIMIT_RULES
from gateway.privacy.model import Counts, DataSubject
from gateway.usage.record import usage_id_at
from gateway.usage.tables import USAGE, USAGE_OPEN
from services.runtime.records.changes import bump
from services.runtime.records.database import Database
from services.runtime.records.secure_delete import erasing

AT_ONCE = 2_000
ERASED = "erased"
KEY_FIELDS = ("id", "name", "prefix", "project", "created", "expires", "last_used", "revoked")


class UsageData:
    """Usage and rate limits. Of a person, the rows of usage stay without the name; of a tenant, they go, and the sums
    of the days stay."""

    name = "books"

    def __init__(self, database: Database) -> None:
        self._database = database

    async def export(self, whose: DataSubject) -> AsyncGenerator[dict[str, object], None]:
        after = ""
        while True:
            query = select(USAGE).where(_usage(whose), USAGE.c.id > after).order_by(USAGE.c.id).limit(AT_ONCE)
            async with self._database.read() as connection:
                rows = (await connection.execute(query)).mappings().all()
            for row in rows:
                yield {"kind": "usage", **{str(name): value for name, value in row.items()}}
            if len(rows) < AT_ONCE:
                return
            after = rows[-1]["id"]

    async def erase(self, whose: DataSubject) -> AsyncGenerator[Counts, None]:
        rows = 0
        while some := await self._part(whose):
            rows += some
            yield {"usage": rows}
        await self._open(whose)
        rules = LIMIT_RULES.c.tenant == whose.tenant
        if whose.subject:
            rules &= LIMIT_RULES.c.caller == whose.subject
        async with erasing(self._database) as connection:
            gone = (await connection.execute(delete(LIMIT_RULES).where(rules))).rowcount
            if gone:
                await bump(connection, "limits")
        yield {"usage": rows, "rate_limits": gone}

    async def expire(self, tenant: str, kind: str, before: float) -> int:
        """See ExpiringSource. The sums of days stay."""
        if kind != "usage":
            return 0
        erased = 0
        while some := await self._delete((USAGE.c.tenant == tenant) & (USAGE.c.id < usage_id_at(before))):
            erased += some
        return erased

    async def _open(self, whose: DataSubject) -> None:
        """Calls under way: the same for what would be left of them."""
        mine = USAGE_OPEN.c.tenant == whose.tenant
        nameless = update(USAGE_OPEN).where(mine, USAGE_OPEN.c.subject == whose.subject)
        gone = nameless.values(subject=ERASED, key=ERASED) if whose.subject else delete(USAGE_OPEN).where(mine)
        async with erasing(self._database) as connection:
            await connection.execute(gone)

    async def _part(self, whose: DataSubject) -> int:
        if not whose.subject:
            return await self._delete(_usage(whose))
        some = select(USAGE.c.id).where(_usage(whose)).limit(AT_ONCE)
        async with erasing(self._database) as connection:
            nameless = update(USAGE).where(USAGE.c.id.in_(some)).values(subject=ERASED, key=ERASED)
            return (await connection.execute(nameless)).rowcount

    async def _delete(self, which: ColumnElement[bool]) -> int:
        some = select(USAGE.c.id).where(which).limit(AT_ONCE)
        async with erasing(self._database) as connection:
            return (await connection.execute(delete(USAGE).where(USAGE.c.id.in_(some)))).rowcount


def _usage(whose: DataSubject) -> ColumnElement[bool]:
    mine = USAGE.c.tenant == whose.tenant
    return mine & (USAGE.c.subject == whose.subject) if whose.subject else mine


class AuditData:
    """Content is erased; of who acted the name, the key and the address are; the chain stays whole."""

    name = "audit"

    def __init__(self, database: Database, store: AuditStore) -> None:
        self._database = database
        self._store = store

    async def export(self, whose: DataSubject) -> AsyncGenerator[dict[str, object], None]:
        async for one in self._store.all(AuditFilter(whose.tenant, whose.subject), content=True):
            actor = {name: value for name, value in (one.actor or {}).items() if name != "salt"}
            content = orjson.loads(one.content["data"]) if one.content else {}
            yield {"kind": "audit", **one.fields, "actor": actor, **content}

    async def erase(self, whose: DataSubject) -> AsyncGenerator[Counts, None]:
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
        """See ExpiringSource. Records themselves are all tenants' and expire together: see AuditPruner."""
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

    async def _delete_actors(self, whose: DataSubject) -> int:
        some = select(ACTORS.c.ref).where(_actors(whose)).limit(AT_ONCE)
        async with erasing(self._database) as connection:
            gone = (await connection.execute(delete(ACTORS).where(ACTORS.c.ref.in_(some)))).rowcount
            if gone:
                await bump(connection, ACTORS_CHANGED)
        return gone


def _actors(whose: DataSubject) -> ColumnElement[bool]:
    mine = ACTORS.c.tenant == whose.tenant
    return mine & (ACTORS.c.subject == whose.subject) if whose.subject else mine


class IdentityData:
    """The principal of a person, with its keys and roles. A tenant's own are deleted with the tenant."""

    name = "identity"

    def __init__(self, database: Database) -> None:
        self._database = database

    async def export(self, whose: DataSubject) -> AsyncGenerator[dict[str, object], None]:
        """Principals, and what is known of their keys but the secrets' hashes."""
        mine = PRINCIPALS.c.tenant == whose.tenant
        if whose.subject:
            mine &= PRINCIPALS.c.name == whose.subject
        async with self._database.read() as connection:
            principals = (await connection.execute(select(PRINCIPALS).where(mine))).mappings().all()
        for principal in principals:
            theirs = select(*(API_KEYS.c[name] for name in KEY_FIELDS)).where(API_KEYS.c.principal == principal["id"])
            async with self._database.read() as connection:
                keys = [
                    {str(name): value for name, value in row.items()}
                    for row in (await connection.execute(theirs)).mappings()
                ]
            fields = {str(name): value for name, value in principal.items()}
            yield {**fields, "kind": "principal", "is": principal["kind"], "keys": keys}

    async def erase(self, whose: DataSubject) -> AsyncGenerator[Counts, None]:
        if not whose.subject:
            yield {}
            return
        mine = (PRINCIPALS.c.tenant == whose.tenant) & (PRINCIPALS.c.name == whose.subject)
        async with erasing(self._database) as connection:
            ids = list((await connection.execute(select(PRINCIPALS.c.id).where(mine))).scalars())
            if ids:
                await changed(connection, "principal", *ids)
                await connection.execute(delete(PRINCIPALS).where(PRINCIPALS.c.id.in_(ids)))
        yield {"principals": len(ids)}
