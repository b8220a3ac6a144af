"""Keys in memory: whose they are, and how soon a change is known."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.identity.directory import KeyDirectory
from gateway.identity.errors import IdentityStale, TenantSuspended
from gateway.identity.last_used import LastUsed
from gateway.identity.model import AccountState, PrincipalKind
from gateway.identity.store import IdentityStore
from gateway.identity.tables import IDENTITY_CHANGES
from gateway.schema.schema import SCHEMA
from services.runtime.errors import Unauthenticated
from services.runtime.identity import Identity
from services.runtime.records.database import Database
from tests.fakes.serving import until
from tests.integration.gateway.identity.conftest import MakeReplica, Replica

LIMITS = [1_000, 1]  # all keys in memory; the last one used, and the others looked up


async def whose(replica: Replica, secret: str) -> Identity | None:
    return replica.directory.known(secret) or await replica.directory.find(secret)


@pytest.mark.parametrize("limit", LIMITS)
async def test_a_key_is_its_principals(store: IdentityStore, make_replica: MakeReplica, ann: str, limit: int) -> None:
    project = await store.projects.create("acme", "search")
    plain = await store.keys.create("acme", ann, project=project.id)
    narrow = await store.keys.create("acme", ann, scopes=["models.call:rag", "agents.write:*"])
    more = await store.keys.create("acme", ann, roles=["developer"], scopes=["agents.*:*"])
    replica = await make_replica(limit)
    found = await whose(replica, plain.secret)
    assert found is not None
    assert (found.tenant, found.subject, found.project, found.key) == ("acme", "ann", project.id, plain.key.id)
    assert "models.call:*" in found.scopes
    narrowed, widened = await whose(replica, narrow.secret), await whose(replica, more.secret)
    assert narrowed
    assert narrowed.scopes == {"models.call:rag"}
    assert widened
    assert widened.scopes == {"agents.read:*", "agents.write:*"}
    assert await whose(replica, plain.secret[:-1]) is None
    assert await whose(replica, plain.key.prefix) is None


@pytest.mark.parametrize("limit", LIMITS)
async def test_a_key_is_in_its_principals_groups(
    store: IdentityStore, make_replica: MakeReplica, ann: str, limit: int
) -> None:
    made = await store.keys.create("acme", ann)
    replica = await make_replica(limit)
    for groups in ((), ("hr", "staff"), ("staff",)):
        await store.principals.set_groups("acme", ann, groups)
        await replica.follow()
        found = await whose(replica, made.secret)
        assert found
        assert found.groups == groups


@pytest.mark.parametrize("limit", LIMITS)
async def test_changes_are_known_on_every_replica(
    store: IdentityStore, make_replica: MakeReplica, ann: str, limit: int
) -> None:
    await store.keys.create("acme", ann)
    replicas = [await make_replica(limit), await make_replica(limit)]
    made = await store.keys.create("acme", ann)

    async def scopes() -> list[set[str] | None]:
        for replica in replicas:
            await replica.follow()
        found = [await whose(replica, made.secret) for replica in replicas]
        return [set(one.scopes) if one else None for one in found]

    [first, second] = await scopes()
    assert first == second
    assert first
    assert "agents.write:*" not in first
    await store.principals.bind("acme", ann, "developer")
    [first, _] = await scopes()
    assert first
    assert "agents.write:*" in first
    await store.principals.unbind("acme", ann, "developer")
    await store.principals.unbind("acme", ann, "user")
    assert await scopes() == [set()] * 2
    await store.roles.put("acme", "reader", ["models.read:*"])
    await store.principals.bind("acme", ann, "reader")
    assert await scopes() == [{"models.read:*"}] * 2
    await store.roles.put("acme", "reader", ["models.read:rag"])
    assert await scopes() == [{"models.read:rag"}] * 2
    await store.principals.set_state("acme", ann, AccountState.SUSPENDED)
    assert await scopes() == [None] * 2
    await store.principals.set_state("acme", ann, AccountState.ACTIVE)
    assert await scopes() == [{"models.read:rag"}] * 2
    await store.keys.revoke("acme", made.key.id)
    assert await scopes() == [None] * 2


@pytest.mark.parametrize("limit", LIMITS)
async def test_a_project_only_binding_is_for_keys_of_the_project(
    store: IdentityStore, make_replica: MakeReplica, ann: str, limit: int
) -> None:
    project = await store.projects.create("acme", "search")
    await store.principals.bind("acme", ann, "developer", project.id)
    inside = await store.keys.create("acme", ann, project=project.id)
    outside = await store.keys.create("acme", ann)
    replica = await make_replica(limit)
    found = [await whose(replica, one.secret) for one in (inside, outside)]
    assert ["agents.write:*" in one.scopes for one in found if one] == [True, False]


@pytest.mark.parametrize("limit", LIMITS)
async def test_rotation_overlaps_and_ends(
    store: IdentityStore, make_replica: MakeReplica, ann: str, limit: int
) -> None:
    old, other = await store.keys.create("acme", ann), await store.keys.create("acme", ann)
    replica = await make_replica(limit)
    new = await store.keys.rotate("acme", old.key.id, 0.7)
    at_once = await store.keys.rotate("acme", other.key.id)
    await replica.follow()
    assert await whose(replica, old.secret)
    assert await whose(replica, new.secret)
    assert await whose(replica, at_once.secret)
    with pytest.raises(Unauthenticated, match="expired"):
        await whose(replica, other.secret)

    async def over() -> bool:
        try:
            return await whose(replica, old.secret) is None
        except Unauthenticated:
            return True

    await until(over, 60)
    assert await whose(replica, new.secret)


@pytest.mark.parametrize("limit", LIMITS)
async def test_nobody_of_a_suspended_or_deleted_tenant(
    store: IdentityStore, make_replica: MakeReplica, ann: str, limit: int
) -> None:
    made = await store.keys.create("acme", ann)
    replica = await make_replica(limit)
    assert await whose(replica, made.secret)
    await store.tenants.set_state("acme", AccountState.SUSPENDED)
    await replica.follow()
    with pytest.raises(TenantSuspended):
        await whose(replica, made.secret)
    await store.tenants.set_state("acme", AccountState.ACTIVE)
    await replica.follow()
    assert await whose(replica, made.secret)
    await store.tenants.delete("acme")
    await store.tenants.create("acme")
    await replica.follow()
    assert await whose(replica, made.secret) is None


async def test_a_revocation_is_effective_within_a_second(
    store: IdentityStore, make_replica: MakeReplica, ann: str
) -> None:
    made = await store.keys.create("acme", ann)
    replicas = [await make_replica(poll=0.25) for _ in range(3)]
    assert all([await whose(replica, made.secret) for replica in replicas])
    await store.keys.revoke("acme", made.key.id)
    revoked = time.monotonic()
    await until(lambda: not any(replica.directory.known(made.secret) for replica in replicas))
    assert time.monotonic() - revoked < 1


async def test_more_keys_than_fit_are_looked_up(store: IdentityStore, make_replica: MakeReplica, ann: str) -> None:
    made = [await store.keys.create("acme", ann) for _ in range(3)]
    replica = await make_replica(limit=5)
    assert all(replica.directory.known(one.secret) for one in made)
    made += [await store.keys.create("acme", ann) for _ in range(5)]
    await replica.follow()
    assert sum(replica.directory.known(one.secret) is not None for one in made) == 5
    assert all([await whose(replica, one.secret) for one in made])
    await store.keys.revoke("acme", made[0].key.id)
    await replica.follow()
    assert await whose(replica, made[0].secret) is None


async def test_a_journal_that_was_cut_is_made_up_for(
    store: IdentityStore, database: Database, make_replica: MakeReplica, ann: str
) -> None:
    made = await store.keys.create("acme", ann)
    replica = await make_replica()
    await store.keys.revoke("acme", made.key.id)
    async with database.write() as connection:
        await connection.execute(delete(IDENTITY_CHANGES))
    await replica.follow()
    assert await whose(replica, made.secret) is None


@pytest.mark.parametrize("limit", LIMITS)
async def test_what_is_stale_lets_nobody_in(
    store: IdentityStore, make_replica: MakeReplica, ann: str, limit: int
) -> None:
    made = await store.keys.create("acme", ann)
    replica = await make_replica(limit)
    assert await whose(replica, made.secret)
    replica.stale = 5.1
    with pytest.raises(IdentityStale):
        await whose(replica, made.secret)
    with pytest.raises(IdentityStale):
        await replica.directory.find("hw_unknown")
    replica.stale = 4.9
    assert await whose(replica, made.secret)


async def test_when_a_key_was_last_used(store: IdentityStore, make_replica: MakeReplica, ann: str) -> None:
    made = await store.keys.create("acme", ann)
    replica = await make_replica()
    for _ in range(3):
        assert await whose(replica, made.secret)
    await replica.used.write()
    first = (await store.keys.get("acme", made.key.id)).last_used
    assert first is not None
    assert abs(first - time.time()) < 30
    assert await whose(replica, made.secret)
    await replica.used.write()
    assert (await store.keys.get("acme", made.key.id)).last_used == first  # at most once a minute


async def test_uses_are_written_now_and_then(store: IdentityStore, database: Database, ann: str) -> None:
    made = await store.keys.create("acme", ann)
    used = LastUsed(database, flush=0.05)
    await used.open()
    used.note(made.key.id)

    async def written() -> bool:
        return (await store.keys.get("acme", made.key.id)).last_used is not None

    await until(written)
    used.note("key_other")
    await used.aclose()


class Holding(Database):
    """Keeps the next one who has read from going on, until it is let go."""

    def __init__(self, url: str) -> None:
        super().__init__(url, SCHEMA)
        self.holds = False
        self.has_read, self.go = asyncio.Event(), asyncio.Event()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        held, self.holds = self.holds, False
        async with super().read() as connection:
            yield connection
        if held:
            self.has_read.set()
            await self.go.wait()


async def test_a_key_that_was_read_before_it_was_revoked_is_not_remembered_after(
    store: IdentityStore, records_url: str, ann: str
) -> None:
    made, _ = await store.keys.create("acme", ann), await store.keys.create("acme", ann)
    database = Holding(records_url)
    directory = KeyDirectory(database, lambda: 0.0, 5.0, 1, LastUsed(database))
    await directory.reload()
    database.holds = True
    looking = asyncio.create_task(directory.find(made.secret))
    await database.has_read.wait()
    await store.keys.revoke("acme", made.key.id)
    await directory.reload()
    database.go.set()
    await looking
    assert directory.known(made.secret) is None
    assert await directory.find(made.secret) is None
    await database.aclose()


async def test_a_user_of_the_same_name_elsewhere_is_another(
    store: IdentityStore, make_replica: MakeReplica, ann: str
) -> None:
    await store.tenants.create("beta")
    twin = await store.principals.create("beta", PrincipalKind.SERVICE_ACCOUNT, "ann")
    mine, theirs = await store.keys.create("acme", ann), await store.keys.create("beta", twin.id)
    replica = await make_replica()
    found = [await whose(replica, one.secret) for one in (mine, theirs)]
    assert [(one.tenant, bool(one.scopes)) for one in found if one] == [("acme", True), ("beta", False)]
