"""MCP servers, over stdio and streamable HTTP: one session with each, opened when it is needed."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from contextvars import Context
from dataclasses import dataclass
from typing import Any, TypeVar

import anyio
import httpx2
import mcp_types as types
from mcp import Client, MCPError
from mcp.client.auth import OAuthFlowError
from mcp.client.streamable_http import streamable_http_client
from pydantic import ValidationError

from services.runtime.breaker import Breaker
from services.runtime.children import DiedAtStart, once_more
from services.runtime.fairness import FairLimit
from services.runtime.mcp.stdio import ServerExited, stdio
from services.runtime.mcp.wire import Wire

LISTED_SECONDS = 300.0
CLOSE_SECONDS = 10.0
MAX_PAGES = 20
MAX_TOOLS = 200
# So many calls in a row without an answer, and the session is opened anew.
MAX_UNHEARD = 3
# Statuses of those that know nothing of a session any more, and of a proxy whose server is not there.
LOST, ABSENT = frozenset((400, 404)), frozenset((502, 503, 504))
# What the protocol's library says, by CONNECTION_CLOSED, of an answer that ended before it was one.
CUT_OFF = "SSE stream "
# Calls that may wait for one server.
QUEUE = 256

T = TypeVar("T")
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class McpConfig:
    """A server, from the operator's settings: a command with its arguments and what is added to the few variables of
    the environment that it gets, or a URL with headers. `concurrency`: calls at once. `client`: makes the client by
    which a URL is asked, for others than the operator's own. `traced`: whether it is told which trace a call is of."""

    command: tuple[str, ...] = ()
    env: Mapping[str, str] | None = None
    cwd: str | None = None
    url: str = ""
    headers: Mapping[str, str] | None = None
    start_seconds: float = 20.0
    concurrency: int = 8
    client: Callable[[], httpx2.AsyncClient] | None = None
    traced: bool = True


class ServerGone(Exception):
    """The server cannot be reached now; the message is safe to show."""


class Unreachable(httpx2.TransportError):
    """Why a URL was not asked, or what came of it; the message is safe to show."""


class _Session:
    """A session, opened and closed by a task of its own: its cancel scopes belong to that task, while calls come from
    any."""

    def __init__(self, config: McpConfig) -> None:
        self._leave = asyncio.Event()
        self._ready: asyncio.Future[Client] = asyncio.get_running_loop().create_future()
        self._wire = Wire(config.traced)
        # In a context of its own: it outlives the call that opens it.
        self._task = asyncio.create_task(self._own(config), context=Context())
        self._calls = 0
        self._broken = False
        self._unheard = 0

    async def client(self) -> Client:
        """Raises ServerGone."""
        return await asyncio.shield(self._ready)

    @property
    def over(self) -> bool:
        """Whether no more calls should be made in it."""
        return self._broken or self._task.done()

    @property
    def closed(self) -> bool:
        return self._task.done()

    def died(self, error: MCPError) -> bool:
        """Whether that is no answer of the server's: a server may choose the library's own code for its errors."""
        return error.code == types.CONNECTION_CLOSED and (self._wire.closed or error.message.startswith(CUT_OFF))

    @contextmanager
    def calling(self) -> Iterator[None]:
        """Around a call: one that is not answered in time counts against the session."""
        self._calls += 1
        try:
            yield
            self._unheard = 0
        except asyncio.CancelledError:
            self._unheard += 1
            if self._unheard >= MAX_UNHEARD:
                self.give_up()
            raise
        finally:
            self._calls -= 1
            self._leave_if_unused()

    def give_up(self) -> None:
        """Make no more calls; close when those under way are over."""
        self._broken = True
        self._leave_if_unused()

    def _leave_if_unused(self) -> None:
        if self._broken and self._calls == 0:
            self._leave.set()

    async def aclose(self) -> None:
        """End the session, and the server's process with it; by force where it does not go."""
        self._leave.set()
        if not self._ready.done():
            self._task.cancel()
        await asyncio.wait({self._task}, timeout=CLOSE_SECONDS)
        if not self._task.done():
            self._task.cancel()
            await asyncio.wait({self._task}, timeout=CLOSE_SECONDS)

    async def _own(self, config: McpConfig) -> None:
        try:
            await once_more(lambda: self._hold(config))
        except (Exception, asyncio.CancelledError) as error:
            if not isinstance(error, asyncio.CancelledError):
                log.warning("an MCP session failed: %s", _reason(error), exc_info=error)
            if not self._ready.done():
                self._ready.set_exception(ServerGone(_reason(error)))
                self._ready.exception()  # heard, whether or not somebody waits
            if isinstance(error, asyncio.CancelledError):
                raise

    async def _hold(self, config: McpConfig) -> None:
        """Raises DiedAtStart, and what a session ends with."""
        self._wire = Wire(config.traced)
        async with _connected(config, self._wire, self._answered) as client:
            if not self._ready.done():
                self._ready.set_result(client)
            await self._leave.wait()

    async def _answered(self, response: httpx2.Response) -> None:
        """A session that is lost over HTTP is told by a status: what the error says is the server's to choose."""
        request = response.request
        if not self._ready.done() or request.method != "POST":
            return
        lost = response.status_code in LOST and "mcp-session-id" in request.headers
        if lost or response.status_code in ABSENT:
            self.give_up()


def _reason(error: BaseException) -> str:
    """What may be shown of why a session was not opened."""
    for each in _causes(error):
        if isinstance(each, DiedAtStart | ServerExited | TimeoutError | Unreachable) and str(each):
            return str(each)
        if isinstance(each, OAuthFlowError):
            return f"OAuth failed: {str(each).partition(':')[0]}"  # what follows are another's words
        if isinstance(each, OSError) and each.strerror:
            return each.strerror
    return "the server did not start"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error, what it was raised from, and what a group of errors has in it; the error itself comes first."""
    while error is not None:
        yield error
        if isinstance(error, BaseExceptionGroup):
            for inner in error.exceptions:
                yield from _causes(inner)
        error = error.__cause__


@asynccontextmanager
async def _connected(
    config: McpConfig, wire: Wire, answered: Callable[[httpx2.Response], Awaitable[None]]
) -> AsyncIterator[Client]:
    """A client whose handshake is done, within `start_seconds`. `answered` hears of each response to a URL."""
    limit = anyio.CancelScope(deadline=anyio.current_time() + config.start_seconds)
    if config.command:
        transport = stdio(config.command, config.env or {}, config.cwd)
        with limit:
            async with Client(wire.over(transport), cache=None) as client:
                limit.deadline = float("inf")
                yield _unchecked(client)
    else:
        async with config.client() if config.client else _client(config) as http:
            http.event_hooks["response"].append(answered)
            over_http = streamable_http_client(config.url, http_client=http)
            with limit:
                async with Client(wire.over(over_http), cache=None) as client:
                    limit.deadline = float("inf")
                    yield _unchecked(client)
    if limit.cancelled_caught:
        raise TimeoutError(f"the handshake took longer than {config.start_seconds:g} seconds")


def _unchecked(client: Client) -> Client:
    """Results go on as they came: to hold them against a schema that the server has written, as the package does, may
    take any time, on the event loop."""

    async def taken(name: str, result: types.CallToolResult) -> None:
        pass

    client.session.validate_tool_result = taken  # type: ignore[method-assign]
    return client


def _client(config: McpConfig) -> httpx2.AsyncClient:
    timeout = httpx2.Timeout(config.start_seconds, read=None)
    return httpx2.AsyncClient(headers=dict(config.headers or {}), timeout=timeout, trust_env=False)


class McpServer:
    """One server. Whoever calls it holds one of its `places`. Its session is opened at the first use, and again, with
    growing pauses, where it has ended."""

    def __init__(self, name: str, config: McpConfig) -> None:
        self.name = name
        self._config = config
        self._sessions: list[_Session] = []  # the last is in use, the others are closing
        self._opening = asyncio.Lock()
        self.places = FairLimit(config.concurrency, QUEUE, spare=True)
        # Of its calls; of its starts, each of which costs a process or a connection; of its lists, each of which waits.
        self.breaker = Breaker(share=0.5, least=5, seconds=30)
        self._starts = Breaker()
        self._lists = Breaker()
        self._why = ""
        self._listed: tuple[types.Tool, ...] = ()
        self._listed_at = float("-inf")

    async def tools(self) -> tuple[types.Tool, ...]:
        """The server's tools. One that is gone for now still has those that it last listed. Raises ServerGone."""
        if time.monotonic() - self._listed_at < LISTED_SECONDS:
            return self._listed
        try:
            self._listed = await self._list()
            self._listed_at = time.monotonic()
        except (ServerGone, MCPError, TimeoutError, ValidationError, anyio.ClosedResourceError) as error:
            if not self._listed and isinstance(error, ServerGone):
                raise
            if not self._listed:
                log.warning("an MCP server does not tell its tools", extra={"server": self.name}, exc_info=error)
                raise ServerGone(f"the server {self.name} does not tell its tools") from error
        return self._listed

    async def _list(self) -> tuple[types.Tool, ...]:
        """Raises ServerGone, also for a while after a list that failed, and what became of this one."""
        if not self._lists.admits():
            wait = self._lists.left
            raise ServerGone(f"the server {self.name} does not tell its tools; it is asked again in {wait:.1f} seconds")
        await self._open()  # in a time of its own, which ends as a start that failed
        try:
            async with asyncio.timeout(self._config.start_seconds):
                tools = await self.ask(_all_tools)
        except (MCPError, TimeoutError, ValidationError, anyio.ClosedResourceError):
            self._lists.failed()
            raise
        self._lists.succeeded()
        return tools

    async def call(self, name: str, arguments: Mapping[str, Any]) -> types.CallToolResult:
        """What a tool returns. Raises what `ask` raises."""
        return await self.ask(lambda client: client.call_tool(name, dict(arguments)))

    async def ask(self, question: Callable[[Client], Awaitable[T]]) -> T:
        """What the server answers. Raises ServerGone, MCPError, and what a broken answer gives."""
        session = await self._open()
        client = await session.client()
        with session.calling():
            try:
                return await question(client)
            except MCPError as error:
                if not session.died(error):
                    raise
                session.give_up()
                raise ServerGone(f"the server {self.name} died during the call") from error
            except (anyio.ClosedResourceError, anyio.BrokenResourceError, OSError) as error:
                session.give_up()
                raise ServerGone(f"the server {self.name} died during the call") from error

    async def aclose(self) -> None:
        async with self._opening:
            sessions, self._sessions = self._sessions, []
            await asyncio.gather(*(session.aclose() for session in sessions))

    async def _open(self) -> _Session:
        """The session, opened where there is none. Raises ServerGone."""
        async with self._opening:
            self._sessions = [session for session in self._sessions if not session.closed]
            if self._sessions and not self._sessions[-1].over:
                return self._sessions[-1]
            if not self._starts.admits():
                wait = self._starts.left
                raise ServerGone(
                    f"the server {self.name} is down ({self._why}); it is tried again in {wait:.1f} seconds"
                )
            session = _Session(self._config)
            try:
                await session.client()
            except asyncio.CancelledError:
                await session.aclose()
                raise
            except ServerGone as error:
                await session.aclose()
                self._starts.failed()
                self._why = str(error)
                why = {"server": self.name, "error": self._why, "seconds": self._starts.left}
                log.warning("an MCP server does not start", extra=why)
                raise ServerGone(f"the server {self.name} does not start: {error}") from error
            self._starts.succeeded()
            self._sessions.append(session)
            return session


async def _all_tools(client: Client) -> tuple[types.Tool, ...]:
    tools: list[types.Tool] = []
    cursor = None
    for _ in range(MAX_PAGES):
        page = await client.list_tools(cursor=cursor)
        tools += page.tools
        cursor = page.next_cursor
        if cursor is None or len(tools) >= MAX_TOOLS:
            break
    return tuple(tools[:MAX_TOOLS])
