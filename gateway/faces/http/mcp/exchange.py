"""One HTTP request of an MCP client, handed to the protocol's own ASGI application, and what comes back."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager, suppress
from typing import Any

from gateway.faces.http.comments import comment
from gateway.faces.http.mcp.errors import failure
from gateway.faces.http.message import EVENTS, JSON, Body, StreamForm
from services.runtime.call import Call
from services.runtime.errors import ErrorKind

Message = MutableMapping[str, Any]
Application = Callable[
    [Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]
]
STATE = "headworks.mcp"
"""Where in the state of a scope the exchange is."""
WORK_SECONDS = 5.0
"""How long an exchange that is left waits for its work to end."""


class McpExchange:
    """`session`: the name that the client gives its session, empty where it gives none; `request_id`: that of its
    request, as it came."""

    def __init__(self, call: Call, session: str, request_id: Any) -> None:
        self.call = call
        self.session = session
        self._form = StreamForm(comment, lambda error: failure(error, request_id))
        self._parts: asyncio.Queue[Body | None] = asyncio.Queue()
        self._head: Message = {}
        self._idle = asyncio.Event()
        self._idle.set()

    @contextmanager
    def working(self) -> Iterator[None]:
        """Around the work for a request, which runs in another task: the call is not over before it."""
        self._idle.clear()
        try:
            yield
        finally:
            self._idle.set()

    async def bodies(self, application: Application, body: bytes) -> AsyncGenerator[Body, None]:
        """The response, in parts where it is a stream. Closing it cancels the work."""
        task = asyncio.create_task(self._serve(application, body))
        try:
            while (part := await self._parts.get()) is not None:
                yield part
            await task
        finally:
            task.cancel()
            with suppress(TimeoutError):
                async with asyncio.timeout(WORK_SECONDS):
                    await asyncio.wait((task,))
                    await self._idle.wait()

    async def _serve(self, application: Application, body: bytes) -> None:
        given = {**self.call.metadata, "content-type": JSON}  # which was checked when the body was read
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in given.items()]
        scope: Message = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http",
            "path": "/mcp", "raw_path": b"/mcp", "query_string": b"", "root_path": "", "headers": headers,
            "client": None, "server": None, "state": {STATE: self},
        }  # fmt: skip
        requests = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> Message:
            if requests:
                return requests.pop()
            await asyncio.Event().wait()  # who leaves closes the generator
            raise AssertionError("unreachable")

        try:
            await application(scope, receive, self._send)
        finally:
            self._parts.put_nowait(None)

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._head = message
            return
        status = self._head["status"]
        if status >= 400 and not self.call.code:
            self.call.code, self.call.reason = int(ErrorKind.INVALID_ARGUMENT), "BAD_MCP_REQUEST"
        kind = next((value.decode() for name, value in self._head["headers"] if name == b"content-type"), "text/plain")
        kind = kind.partition(";")[0]
        data = message.get("body", b"")
        if kind == EVENTS:
            if data:
                self._parts.put_nowait(Body(EVENTS, data, form=self._form))
        else:
            self._parts.put_nowait(Body(kind, data, whole=True, status=status))


def exchange_of(request: Any) -> McpExchange:
    """The exchange that a request of the protocol came by."""
    found: McpExchange = request.scope["state"][STATE]
    return found
