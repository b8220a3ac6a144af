"""Every tenant's MCP servers, ready to be asked, as the database has them."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

import anyio
import httpx2
import mcp_types as types
from mcp import Client, MCPError
from pydantic import ValidationError

from gateway.mcp.model import CLIENT_SECRET, HEADER, McpServerNotFound, StoredServer
from gateway.mcp.oauth import provider
from gateway.mcp.sealing import SecretSeal, Unsealable
from gateway.mcp.store import McpServerStore
from services.runtime.errors import DeadlineExceeded, DomainError, ErrorKind
from services.runtime.fairness import Full
from services.runtime.hosts import HostRule
from services.runtime.mcp.egress import Egress
from services.runtime.mcp.server import McpConfig, McpServer, ServerGone, Unreachable
from services.runtime.time_limit import TimeLimit

START_SECONDS = 10.0
PLACE_SECONDS = 30.0
IDLE_SECONDS = 600.0
SWEEP_SECONDS = 60.0
T = TypeVar("T")
log = logging.getLogger(__name__)


class McpServerGone(DomainError):
    """It cannot be reached, or does not hold to the protocol."""

    kind = ErrorKind.UNAVAILABLE
    reason = "MCP_SERVER_UNAVAILABLE"


class McpAnswerBroken(McpServerGone):
    """One answer is none; others may be."""


class McpServerRefused(DomainError):
    """It answers with an error, whose words are its own: nobody reads them before guards have."""

    kind = ErrorKind.FAILED_PRECONDITION
    reason = "MCP_SERVER_REFUSED"


class TenantServer:
    """One server of a tenant's. Its session is shared by the tenant's callers, opened at the first use and closed when
    nobody has used it for long."""

    def __init__(self, stored: StoredServer, secrets: Mapping[str, str], egress: Callable[[], Egress]) -> None:
        self.stored = stored
        self.name, self.spec = stored.name, stored.spec
        headers = {name.removeprefix(HEADER): value for name, value in secrets.items() if name.startswith(HEADER)}
        oauth = self.spec.oauth
        auth = provider(self.spec.url, oauth, secrets.get(CLIENT_SECRET, "")) if oauth else None

        def client() -> httpx2.AsyncClient:
            timeout = httpx2.Timeout(START_SECONDS, read=None)
            return httpx2.AsyncClient(headers=headers, timeout=timeout, auth=auth, trust_env=False, transport=egress())

        self._config = McpConfig(url=self.spec.url, start_seconds=START_SECONDS, client=client, traced=False)
        self._server = McpServer(self.name, self._config)
        self.used = time.monotonic()
        self._asking = 0

    async def tools(self) -> list[types.Tool]:
        """Those that are offered. Raises McpServerGone."""
        return [tool for tool in await self.all_tools() if self.spec.offers(tool.name)]

    async def all_tools(self) -> tuple[types.Tool, ...]:
        """Those that it lists, a while ago at most. Raises McpServerGone."""
        self.used = time.monotonic()
        try:
            return await self._server.tools()
        except ServerGone as error:
            raise McpServerGone(str(error), server=self.name) from error

    async def ask(self, owner: str, seconds: float, question: Callable[[Client], Awaitable[T]]) -> T:
        """What it answers, within `seconds` and its own limit. Callers of one tenant take turns by `owner`. Raises
        McpServerGone, McpServerRefused, DeadlineExceeded."""
        breaker, limit = self._server.breaker, min(seconds, self.spec.seconds)
        if not breaker.admits():
            left = f"the server {self.name} is left alone, for its last calls failed"
            raise McpServerGone(left, server=self.name).retry_in(breaker.left)
        self._asking += 1
        try:
            async with self._server.places.place((owner,), seconds=PLACE_SECONDS):
                answer = await self._ask(seconds, limit, question)
        except Full as error:
            raise McpServerGone(f"the server {self.name} has too many calls under way", server=self.name) from error
        except (McpServerRefused, McpAnswerBroken):
            breaker.succeeded()  # it is there
            raise
        except (McpServerGone, DeadlineExceeded):
            if limit == self.spec.seconds:  # a caller in a hurry says nothing of the server
                breaker.failed()
            raise
        finally:
            self._asking -= 1
            self.used = time.monotonic()
        breaker.succeeded()
        return answer

    async def _ask(self, seconds: float, limit: float, question: Callable[[Client], Awaitable[T]]) -> T:
        try:
            async with asyncio.timeout(limit):
                return await self._server.ask(question)
        except TimeoutError as error:
            own = TimeLimit(limit, f"the timeout of the MCP server {self.name}" if limit < seconds else "")
            raise own.passed(f"a call of the server {self.name}") from error
        except (ServerGone, Unreachable) as error:
            raise McpServerGone(str(error), server=self.name) from error
        except MCPError as error:
            raise McpServerRefused(error.message, server=self.name) from error
        except (ValidationError, RuntimeError, httpx2.HTTPError, anyio.ClosedResourceError) as error:
            log.warning("a broken answer of an MCP server", extra={"server": self.name}, exc_info=error)
            kind = McpAnswerBroken if isinstance(error, ValidationError | RuntimeError) else McpServerGone
            raise kind(f"the server {self.name} does not hold to the protocol", server=self.name) from error

    async def rest(self) -> None:
        """Close the session where nobody has used it for long; the next use opens one."""
        if not self._asking and time.monotonic() - self.used > IDLE_SECONDS:
            await self._server.aclose()

    async def aclose(self) -> None:
        await self._server.aclose()


class McpServers:
    """`hosts` may be asked; `private` too, also at addresses that are not the internet's. It follows its KIND of
    Changes by `reload`."""

    def __init__(
        self, store: McpServerStore, seal: SecretSeal, hosts: Sequence[HostRule], private: Sequence[HostRule]
    ) -> None:
        self._store = store
        self._seal = seal
        self._hosts, self._private = tuple(hosts), tuple(private)
        self._servers: dict[tuple[str, str], TenantServer] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._swept = time.monotonic()

    @property
    def hosts(self) -> Sequence[HostRule]:
        """All that may be named."""
        return (*self._hosts, *self._private)

    def of(self, tenant: str) -> list[TenantServer]:
        """By name."""
        self._sweep()
        return [server for (owner, _), server in self._servers.items() if owner == tenant]

    def get(self, tenant: str, name: str) -> TenantServer:
        """Raises McpServerNotFound."""
        server = self._servers.get((tenant, name))
        if server is None:
            raise McpServerNotFound(name)
        return server

    async def reload(self) -> None:
        """Take up what has changed. One whose secrets cannot be opened is left out. Raises RecordsUnavailable."""
        stored = {(each.tenant, each.name): each for each in await self._store.all()}
        servers: dict[tuple[str, str], TenantServer] = {}
        for key, each in stored.items():
            known = self._servers.get(key)
            if known is not None and known.stored == each:
                servers[key] = known
            elif (made := self._made(each)) is not None:
                servers[key] = made
        gone = [server for key, server in self._servers.items() if servers.get(key) is not server]
        self._servers = servers
        for server in gone:
            self._later(server.aclose())

    async def aclose(self) -> None:
        servers, self._servers = list(self._servers.values()), {}
        await asyncio.gather(*(server.aclose() for server in servers), *self._closing, return_exceptions=True)

    def _made(self, stored: StoredServer) -> TenantServer | None:
        try:
            secrets = self._seal.open(stored.secrets, owner_of(stored.tenant, stored.name))
        except Unsealable as error:
            place = {"tenant": stored.tenant, "server": stored.name, "error": str(error)}
            log.error("an MCP server cannot be asked", extra=place)  # noqa: TRY400 (the message says it all)
            return None
        return TenantServer(stored, secrets, lambda: Egress(self._hosts, self._private))

    def _sweep(self) -> None:
        if time.monotonic() - self._swept > SWEEP_SECONDS:
            self._swept = time.monotonic()
            for server in self._servers.values():
                self._later(server.rest())

    def _later(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


def owner_of(tenant: str, name: str) -> str:
    """Whose the sealed secrets are."""
    return f"{tenant}/{name}"
