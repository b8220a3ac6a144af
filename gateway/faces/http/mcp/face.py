"""/mcp: streamable HTTP. Who may speak to it is decided here, the protocol itself is its library's."""

import asyncio
import re
import uuid
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from contextvars import Context
from typing import Any

import orjson
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

from gateway.faces.http.asgi import AsgiExchange
from gateway.faces.http.errors import HttpError
from gateway.faces.http.mcp.in_flight import RequestsInFlight
from gateway.faces.http.mcp.server import McpHandlers
from gateway.faces.http.mcp.servers import ServerContents
from gateway.faces.http.mcp.tools import ToolSource
from gateway.faces.http.message import EVENTS, JSON, Body, Request
from gateway.faces.http.routes import Route, plain_route
from services.runtime.call import Call
from services.runtime.errors import ErrorKind, InvalidArgument

PATH = "/mcp"
SESSION_KEY = "mcp-session-id"
LONGEST_SESSION = 128
LOOPBACK = re.compile(r"https?://(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?")
"""Pages of the caller's own machine. A name that was made to point to it stays in the origin, and is refused."""
ANY = "*"


class OriginRefused(HttpError):
    """A page of another site asks, which may have been led here by a name that points elsewhere now."""

    kind = ErrorKind.PERMISSION_DENIED
    reason = "ORIGIN_REFUSED"
    status = 403

    def __init__(self, origin: str) -> None:
        super().__init__(
            f"pages of {origin[:100]!r} may not use MCP here: an operator allows them by HEADWORKS_GATEWAY_MCP_ORIGINS"
        )


class NotAcceptable(HttpError):
    reason = "NOT_ACCEPTABLE"
    status = 406


class McpFace:
    """Every request stands alone, so that any gateway may serve it: a session is a name, by which a client cancels its
    requests, and nothing is kept under it. `origins` are the pages that may ask, beside those of the caller's own
    machine."""

    def __init__(self, sources: Sequence[ToolSource], contents: ServerContents, origins: Iterable[str] = ()) -> None:
        self._in_flight = RequestsInFlight()
        server = McpHandlers(sources, contents, self._in_flight).server()
        self._manager = StreamableHTTPSessionManager(server, stateless=True, max_request_body_size=1 << 40)
        self._origins = frozenset(origins)
        self._leave = asyncio.Event()

    async def open(self, resources: AsyncExitStack) -> None:
        """Serve until `resources` are closed."""
        begun = asyncio.get_running_loop().create_future()
        # In a task of its own: a task group is left by the task that has entered it.
        task = asyncio.create_task(self._run(begun), context=Context())
        resources.push_async_callback(self._close, task)
        await begun

    async def _run(self, begun: "asyncio.Future[None]") -> None:
        async with self._manager.run():
            begun.set_result(None)
            await self._leave.wait()

    async def _close(self, task: "asyncio.Task[None]") -> None:
        self._leave.set()
        await task

    def routes(self) -> Iterable[Route]:
        """POST alone: there is no stream beside those of requests to GET, and no session to DELETE."""
        return (plain_route("POST", PATH, self.exchange),)

    async def exchange(self, request: Request, call: Call) -> AsyncGenerator[Body, None]:
        """One message of a client, and what it is answered."""
        _check(call.metadata, self._origins)
        message = _message(request.body)
        session = call.metadata.get(SESSION_KEY, "")[:LONGEST_SESSION]
        exchange = AsgiExchange(call, message.get("id"), session)
        if message.get("method") == "initialize":
            call.headers[SESSION_KEY] = uuid.uuid4().hex
        elif message.get("method") == "notifications/cancelled":
            self._cancel(exchange, message)
        async with aclosing(exchange.bodies(self._manager.handle_request, request.body)) as bodies:
            async for body in bodies:
                yield body

    def _cancel(self, exchange: AsgiExchange, message: Mapping[str, Any]) -> None:
        params = message.get("params")
        request_id = params.get("requestId") if isinstance(params, dict) else None
        if isinstance(request_id, str | int) and exchange.context:
            self._in_flight.cancel(exchange, request_id)


def _check(headers: Mapping[str, str], origins: frozenset[str]) -> None:
    """Raises OriginRefused, NotAcceptable."""
    origin = headers.get("origin")
    if origin is not None and not (ANY in origins or origin in origins or LOOPBACK.fullmatch(origin)):
        raise OriginRefused(origin)
    kinds = {part.partition(";")[0].strip().lower() for part in headers.get("accept", "").split(",")}
    if not kinds & {"*/*", JSON, "application/*"} or not kinds & {"*/*", EVENTS, "text/*"}:
        raise NotAcceptable(f"send accept: {JSON}, {EVENTS}")


def _message(body: bytes) -> dict[str, Any]:
    """Raises InvalidArgument."""
    try:
        message = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidArgument(f"the body is not valid JSON: {error}") from error
    if isinstance(message, list):
        raise InvalidArgument("batches are not served: send each message by itself")
    if not isinstance(message, dict):
        raise InvalidArgument("the body must be one JSON-RPC message")
    return message
