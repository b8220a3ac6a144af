"""Identity in a database, and replicas that follow it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest

from gateway.identity import change_log
from gateway.identity.directory import KeyDirectory
from gateway.identity.last_used import LastUsed
from gateway.identity.model import PrincipalKind
from gateway.identity.store import IdentityStore
from services.runtime.records.changes import Changes
from services.runtime.records.database import Database


@dataclass
class Replica:
    """What one gateway knows of identity. `stale` stands in for the seconds since it last looked."""

    database: Database
    changes: Changes
    directory: KeyDirectory
    used: LastUsed
    stale: float = 0.0

    async def follow(self) -> None:
        """See what was committed so far."""
        await self.changes.look()


MakeReplica = Callable[..., Awaitable[Replica]]


@pytest.fixture
def store(database: Database) -> IdentityStore:
    return IdentityStore(database)


@pytest.fixture
async def make_replica(database: Database) -> AsyncIterator[MakeReplica]:
    async with AsyncExitStack() as stack:

        async def make(limit: int = 1_000, poll: float = 60.0) -> Replica:
            changes, used = Changes(database, poll), LastUsed(database)
            replica: list[Replica] = []
            directory = KeyDirectory(database, lambda: replica[0].stale, 5.0, limit, used)
            replica.append(Replica(database, changes, directory, used))
            changes.follow(change_log.KIND, directory.reload)
            await changes.open()
            stack.push_async_callback(changes.aclose)
            return replica[0]

        yield make


@pytest.fixture
async def ann(store: IdentityStore) -> str:
    """The id of a service account of the tenant "acme" that has the role of a user."""
    await store.tenants.create("acme", "Acme")
    made = await store.principals.create("acme", PrincipalKind.SERVICE_ACCOUNT, "ann")
    await store.principals.bind("acme", made.id, "user")
    return made.id
