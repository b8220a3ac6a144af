"""The principal that a person is, with its keys and roles. A tenant's own go when the tenant is deleted."""

from collections.abc import AsyncGenerator

from sqlalchemy import delete, select

from gateway.identity.journal import changed
from gateway.identity.tables import API_KEYS, PRINCIPALS
from gateway.privacy.holders.holder import Counts, Whose
from services.runtime.records.database import Database
from services.runtime.records.secure_delete import erasing

KEY_FIELDS = ("id", "name", "prefix", "project", "created", "expires", "last_used", "revoked")


class IdentityData:
    name = "identity"

    def __init__(self, database: Database) -> None:
        self._database = database

    async def export(self, whose: Whose) -> AsyncGenerator[dict[str, object], None]:
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
            told = {str(name): value for name, value in principal.items()}
            yield {**told, "kind": "principal", "is": principal["kind"], "keys": keys}

    async def erase(self, whose: Whose) -> AsyncGenerator[Counts, None]:
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
