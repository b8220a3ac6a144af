"""API keys. The secret is returned when a key is made, and stored as a hash only."""

import hashlib
import json
import secrets
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from sqlalchemy import Row, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.access.authorize import checked
from gateway.identity.change_log import changed
from gateway.identity.errors import KeyNotLive
from gateway.identity.keys import PREFIX, PREFIX_LENGTH
from gateway.identity.model import ApiKey, NewKey
from gateway.identity.store.shared import (
    added,
    known_principal,
    known_project,
    known_role,
    label,
    names,
    one,
    page_size,
)
from gateway.identity.tables import API_KEYS
from gateway.metadata import NewId, new_id
from services.runtime.errors import InvalidArgument
from services.runtime.records.database import Database

SECRET_BYTES = 30
MOST_ROLES = 20
LONGEST_OVERLAP = 30 * 86_400.0


class KeyStore:
    def __init__(self, database: Database, new_id: NewId = new_id) -> None:
        self._database = database
        self._new_id = new_id

    async def create(
        self,
        tenant: str,
        principal: str,
        *,
        name: str = "",
        project: str = "",
        roles: Sequence[str] = (),
        scopes: Sequence[str] = (),
        expires: float | None = None,
    ) -> NewKey:
        """A new key of the principal's. It may do what the principal's roles and its own permit; `scopes`, where there
        are any, narrow that. `expires`: seconds since the epoch."""
        if expires is not None and expires <= time.time():
            raise InvalidArgument("a key expires in the future", field="expires")
        made = _new(
            ApiKey(
                self._new_id("key"), tenant, project, principal, label(name, "name"), "", _roles(roles),
                tuple(sorted(checked(scopes))), time.time(), expires, None, None, None,
            )
        )  # fmt: skip
        async with self._database.write() as connection:
            await changed(connection, "key", made.key.id)
            await known_principal(connection, tenant, principal)
            await known_project(connection, tenant, project)
            for role in made.key.roles:
                await known_role(connection, tenant, role)
            await _add(connection, made)
        return made

    async def get(self, tenant: str, key: str) -> ApiKey:
        async with self._database.read() as connection:
            return await _get(connection, tenant, key)

    async def list(self, tenant: str, principal: str = "", after: str = "", size: int = 100) -> Sequence[ApiKey]:
        """The tenant's keys, or one principal's, whose ids come after `after`, in that order."""
        query = select(API_KEYS).where(API_KEYS.c.tenant == tenant, API_KEYS.c.id > after)
        if principal:
            query = query.where(API_KEYS.c.principal == principal)
        async with self._database.read() as connection:
            rows = await connection.execute(query.order_by(API_KEYS.c.id).limit(page_size(size)))
            return [_key(row) for row in rows]

    async def rotate(self, tenant: str, key: str, overlap_seconds: float = 0.0) -> NewKey:
        """A new key in the place of this one, which is good for `overlap_seconds` more. Raises KeyNotLive."""
        if not 0 <= overlap_seconds <= LONGEST_OVERLAP:
            raise InvalidArgument(f"overlap is 0 to {LONGEST_OVERLAP:.0f} seconds", field="overlap")
        now, successor = time.time(), self._new_id("key")
        async with self._database.write() as connection:
            await changed(connection, "key", key, successor)  # first, so that two rotations come one after the other
            old = await _get(connection, tenant, key)
            if old.revoked is not None or (old.expires is not None and old.expires <= now) or old.replaced_by:
                raise KeyNotLive(f"the key {key} is revoked, expired or rotated already", key=key)
            made = _new(replace(old, id=successor, created=now, last_used=None))
            until = now + overlap_seconds
            ends = until if old.expires is None else min(until, old.expires)
            change = update(API_KEYS).where(API_KEYS.c.id == key)
            await connection.execute(change.values(replaced_by=made.key.id, expires=ends))
            await _add(connection, made)
        return made

    async def revoke(self, tenant: str, key: str) -> ApiKey:
        """End the key. One that is revoked already stays as it is."""
        mine = (API_KEYS.c.tenant == tenant) & (API_KEYS.c.id == key)
        async with self._database.write() as connection:
            await changed(connection, "key", key)
            change = update(API_KEYS).where(mine, API_KEYS.c.revoked.is_(None))
            await connection.execute(change.values(revoked=time.time()))
            return await _get(connection, tenant, key)


def _new(key: ApiKey) -> NewKey:
    """The key with a secret of its own: 240 random bits, for which one round of SHA-256 is enough."""
    secret = PREFIX + secrets.token_urlsafe(SECRET_BYTES)
    return NewKey(replace(key, prefix=secret[:PREFIX_LENGTH]), secret)


async def _add(connection: AsyncConnection, made: NewKey) -> None:
    digest = hashlib.sha256(made.secret.encode()).hexdigest()
    lists = {"roles": json.dumps(made.key.roles), "scopes": json.dumps(made.key.scopes)}
    await added(connection, API_KEYS, asdict(made.key) | lists | {"sha256": digest})


async def _get(connection: AsyncConnection, tenant: str, key: str) -> ApiKey:
    query = select(API_KEYS).where(API_KEYS.c.tenant == tenant, API_KEYS.c.id == key)
    return _key(await one(connection, query, "key", key))


def _roles(roles: Sequence[str]) -> tuple[str, ...]:
    if len(roles) > MOST_ROLES:
        raise InvalidArgument(f"a key has at most {MOST_ROLES} roles of its own", field="roles")
    return tuple(sorted(set(roles)))


def _key(row: Row[Any]) -> ApiKey:
    return ApiKey(
        row.id, row.tenant, row.project, row.principal, row.name, row.prefix, names(row.roles), names(row.scopes),
        row.created, row.expires, row.last_used, row.revoked, row.replaced_by,
    )  # fmt: skip
