"""The administrators' services over real records, for callers who are who their key says."""

from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from gateway.access.authorizer import Authorizer
from gateway.audit.checkpoints import Checkpoints
from gateway.audit.log import AuditLog
from gateway.audit.seal import Seal
from gateway.audit.store import AuditFilter, AuditStore
from gateway.cache.policies import CachePolicies
from gateway.cache.policy_store import CachePolicyStore
from gateway.cache.purges import Purges
from gateway.cache.service import AnswerCache
from gateway.cache.store import MemoryAnswers
from gateway.faces.admin.assembly import SERVICES, add_servicers
from gateway.faces.admin.calls import AdminCalls
from gateway.guard.policies import Policies
from gateway.guard.policy import read
from gateway.guard.store import GuardStore
from gateway.guard.terms.library import Library
from gateway.identity.store import IdentityStore
from gateway.mcp.registration import ServerRegistration
from gateway.mcp.sealing import SecretSeal
from gateway.mcp.servers import McpServers
from gateway.mcp.store import McpServerStore
from gateway.privacy.own_records import IdentityData, UsageData
from gateway.privacy.policies import RetentionPolicies
from gateway.privacy.service import ErasureStore, Privacy
from gateway.schema.schema import SCHEMA
from services.runtime.call import Call
from services.runtime.errors import Unauthenticated
from services.runtime.hosts import HostRule
from services.runtime.identity import Identity
from services.runtime.interceptors import layers
from services.runtime.interceptors.chain import Serve, T
from services.runtime.records.changes import Changes
from services.runtime.records.database import Database
from services.runtime.records.writer import Writer
from services.runtime.server import App
from tests.fakes.identity import Keys

ROOT = "hw_root"
PEOPLE: Mapping[str, Identity] = {
    ROOT: Identity("acme", "root", frozenset({"*"}), key="key_root"),
    "hw_admin": Identity("acme", "ada", frozenset({"admin.keys:*", "admin.roles:*", "models.call:rag"}), key="key_ada"),
    "hw_other": Identity("other", "olga", frozenset({f"admin.{noun}:*" for noun in (
        "projects", "principals", "keys", "roles", "budgets", "limits", "guards", "cache", "usage", "audit",
        "data")})),
    "hw_nobody": Identity("acme", "noa", frozenset({"models.call:*"})),
}  # fmt: skip


class Known:
    """Lets in whose key is known."""

    async def around(self, call: Call, serve: Serve[T]) -> T:
        call.identity = PEOPLE.get(call.metadata.get("authorization", "").removeprefix("Bearer "))
        call.address = "10.0.0.1"
        if call.identity is None:
            raise Unauthenticated("the key is not known")
        return await serve()


@dataclass(frozen=True)
class Administration:
    """A gateway's administration, ready to be served, and the records under it."""

    app: App
    database: Database
    changes: Changes
    trail: AuditStore
    answers: MemoryAnswers

    async def recorded(self, tenant: str = "acme") -> list[dict[str, object]]:
        """What the audit says of the tenant."""
        return [one.fields for one in await self.trail.page(AuditFilter(tenant=tenant))]


def no_work(work: Coroutine[Any, Any, object]) -> None:
    """Leaves undone what no call waits for."""
    work.close()


@asynccontextmanager
async def administration(url: str, keys: Keys) -> AsyncIterator[Administration]:
    """On the database at `url`, with the tenants acme and other."""
    database = Database(url, SCHEMA)
    await database.open()
    writer, changes = Writer(database), Changes(database, 0.02)
    checkpoints = Checkpoints(database, Seal(keys.private_pem))
    log = AuditLog(database, writer, changes, checkpoints, attempt_seconds=0, checkpoint_seconds=0)
    guards = Policies(GuardStore(database), read(None), Library(None), None)
    changes.follow("guards", guards.reload)
    privacy = Privacy(ErasureStore(database), [UsageData(database), IdentityData(database)], log)
    retention = RetentionPolicies(database, changes, days={})
    secret_seal = SecretSeal(keys.private_pem)
    hosts = [HostRule.parse("*")]
    mcp_servers = McpServers(McpServerStore(database), secret_seal, hosts, [])
    changes.follow("mcp_servers", mcp_servers.reload)
    registration = ServerRegistration(secret_seal, hosts)
    memory = MemoryAnswers(1 << 20)
    purges = Purges(database, memory.drop_tenant)
    cache = AnswerCache(CachePolicies(CachePolicyStore(database)), memory, purges, 1 << 16, no_work)
    calls = AdminCalls(database, log, changes)
    tenants = IdentityStore(database).tenants
    for tenant in ("acme", "other"):
        await tenants.create(tenant)
    opened = (writer, changes, log)
    for one in opened:
        await one.open()
    around = [*layers(None, 60), Known()]
    app = App(
        lambda server: add_servicers(
            server, calls, guards, checkpoints, privacy, retention, cache, registration, mcp_servers
        ),
        [],
        layers=around,
        gate=Authorizer(SERVICES),
    )
    try:
        yield Administration(app, database, changes, AuditStore(database), memory)
    finally:
        for one in reversed(opened):
            await one.aclose()
        await database.aclose()
