"""A call of HTTP, handed to the ASGI application that a protocol's library is, and what comes back."""

import asyncio
import math
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from gateway.calls.call import time_left
from gateway.faces.http.comments import comment
from gateway.faces.http.message import EVENTS, JSON, Body, StreamForm
from gateway.faces.http.rpc_errors import failure
from services.runtime.call import Call
from services.runtime.errors import ErrorKind
from services.runtime.time_limit import TimeLimit

Message = MutableMapping[str, Any]
Application = Callable[
    [Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]
]
T = TypeVar("T")
STATE = "headworks.exchange"
"""Where in the state of a scope the exchange is."""
MOST_PARTS = 64
"""Of a stream, that may wait for a caller who reads slowly."""
WORK_SECONDS = 5.0
"""How long an exchange that is left waits for its work to end."""


class AsgiExchange:
    """`request_id`: that of the JSON-RPC request, as it came. `context`: what the protocol knows of it beside, such as
    the name of a session."""

    def __init__(self, call: Call, request_id: Any, context: str = "") -> None:
        self.call = call
        self.context = context
        self._form = StreamForm(comment, lambda error: failure(error, request_id))
        self._parts: asyncio.Queue[Body | None] = asyncio.Queue()
        self._room = asyncio.Event()
        self._head: Message = {}
        self._idle = asyncio.Event()
        self._idle.set()
        self._owned: list[AsyncGenerator[Any, None]] = []

    def owned(self, work: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]:
        """The same work, which is closed with the exchange: whoever streams it may leave it where it is."""
        self._owned.append(work)
        return work

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
                self._room.set()
                yield part
            await task
        finally:
            task.cancel()
            with suppress(TimeoutError):
                async with asyncio.timeout(WORK_SECONDS):
                    await asyncio.wait((task,))
                    for work in self._owned:
                        await work.aclose()
                    await self._idle.wait()

    async def _serve(self, application: Application, body: bytes) -> None:
        given = {**self.call.metadata, "content-type": JSON}  # which was checked when the body was read
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in given.items()]
        scope: Message = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http",
            "path": "/", "raw_path": b"/", "query_string": b"", "root_path": "", "headers": headers,
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
            self.call.code, self.call.reason = int(ErrorKind.INVALID_ARGUMENT), "BAD_REQUEST"
        kind = next((value.decode() for name, value in self._head["headers"] if name == b"content-type"), "text/plain")
        kind = kind.partition(";")[0]
        data = message.get("body", b"")
        if kind == EVENTS:
            while self._parts.qsize() >= MOST_PARTS:
                self._room.clear()
                await self._room.wait()
            if data:
                self._parts.put_nowait(Body(EVENTS, data, form=self._form))
        else:
            self._parts.put_nowait(Body(kind, data, whole=True, status=status))


def exchange_of(request: Any) -> AsgiExchange:
    """The exchange that a request of the protocol came by."""
    found: AsgiExchange = request.scope["state"][STATE]
    return found


async def in_time(call: Call, work: Callable[[Call], Awaitable[T]]) -> T:
    """The work for a call, until just before its deadline. Raises DeadlineExceeded."""
    limit = asyncio.timeout(max(0.0, time_left(call)) if call.remaining < math.inf else None)
    try:
        async with limit:
            return await work(call)
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise TimeLimit(call.limit_seconds, call.limit).passed("the call") from error
