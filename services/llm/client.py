"""The HTTP client of a process: one pool of connections to all upstreams."""

import asyncio
import math
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any
from weakref import WeakSet

import aiohttp
from aiohttp.connector import Connection

from services.llm import errors
from services.llm.endpoint import ModelEndpoint
from services.llm.errors import UpstreamTimeout, UpstreamUnavailable, UpstreamUnreachable
from services.llm.wires.wire import Unsigned
from services.runtime.errors import FINAL, DeadlineExceeded, DomainError

OK = 200
KEPT_SECONDS = 30.0
DRAIN_SECONDS = 0.1
CLOSE_SECONDS = 2.0
"""What a stream may take from its answer's end to its own."""
ERROR_BYTES = 64 << 10
MOST_BYTES = 32 << 20
LEAST_SECONDS = 0.001
AT_ONCE_SECONDS = 0.25
"""A kept connection that ends sooner than this after a request was sent on it had been closed before."""
IN_HAND_SECONDS = 1.0
"""An upstream that fails later than this after it got a request has worked on it: it is not asked for that again."""


class _Ended(Exception):
    """A stream was not closed in time after the end of its answer."""


@dataclass(slots=True)
class _Sending:
    """How far a request got: since when an upstream may have it, and whether on a connection that was used before.
    `on_sent` is called then."""

    on_sent: Callable[[], None]
    at: float | None = None
    reused: bool = False

    @property
    def seconds(self) -> float:
        """How long an upstream has had it in hand."""
        return 0.0 if self.at is None else time.monotonic() - self.at


# Of the request that this task sends.
_sending: ContextVar[_Sending] = ContextVar("sending")


class _Connector(aiohttp.TCPConnector):
    """Tells each request's _Sending of its connection."""

    def __init__(self, connections: int) -> None:
        super().__init__(limit=connections, keepalive_timeout=KEPT_SECONDS)
        self._used: WeakSet[asyncio.BaseProtocol] = WeakSet()

    async def connect(self, *request: Any, **named: Any) -> Connection:
        """The same; what it takes is passed on as it is."""
        connection = await super().connect(*request, **named)
        sending, protocol = _sending.get(), connection.protocol
        sending.at, sending.reused = time.monotonic(), protocol in self._used
        if protocol is not None and not sending.reused:
            self._used.add(protocol)
        sending.on_sent()
        return connection


class _SilenceLimit:
    """Ends the reading of a stream on which nothing has come for some `seconds`. What the reader takes to go on does
    not count. It costs a timer a stream, and none a portion."""

    def __init__(self, response: aiohttp.ClientResponse, seconds: float) -> None:
        self._content = response.content
        self._loop = asyncio.get_running_loop()
        self._seconds = seconds
        self._left = seconds
        self._since: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._ended = False

    def __enter__(self) -> "_SilenceLimit":
        self.waiting(True)
        self._timer = self._loop.call_later(self._left, self._look)
        return self

    def __exit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None

    def waiting(self, waits: bool) -> None:
        now = self._loop.time()
        if self._since is not None:
            self._left -= now - self._since
        self._since = now if waits else None

    def renew(self, seconds: float) -> None:
        """Something has come: from now on there may be `seconds` of silence."""
        sooner = seconds < self._seconds
        self._seconds = self._left = seconds
        if sooner:
            self._again(seconds)

    def end(self, seconds: float) -> None:
        """Nothing more need come: the stream ends after so many seconds, whatever does."""
        if not self._ended:
            self._ended = True
            self.renew(seconds)
            self._again(seconds)

    def _again(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = self._loop.call_later(seconds, self._look)

    def _look(self) -> None:
        if self._since is None:
            self._again(max(self._left, LEAST_SECONDS))
            return
        self.waiting(True)
        if self._left > LEAST_SECONDS:
            self._again(self._left)
        elif self._ended:
            self._content.set_exception(_Ended())
        else:
            self._content.set_exception(aiohttp.SocketTimeoutError())


class UpstreamReply:
    """An answer that has begun well. `callers`: see `_late`."""

    def __init__(self, endpoint: ModelEndpoint, response: aiohttp.ClientResponse, callers: bool) -> None:
        self.endpoint = endpoint
        self._response = response
        self._callers = callers
        self._silence = _SilenceLimit(response, endpoint.first_byte_seconds)
        self._silence_name = "first_byte_seconds"
        self._progress = 0
        self._taken: list[bytes] = []
        self._reading = endpoint.wire.reading(endpoint.model)
        self._translated_whole = False
        self._stream: AsyncGenerator[bytes, None] | None = None
        self._ahead: list[bytes] = []

    @property
    def is_json(self) -> bool:
        """Whether it is one JSON rather than a stream of events, or of lines."""
        kind = self._response.headers.get("content-type", "")
        return "json" in kind and "ndjson" not in kind

    def portions(self) -> AsyncGenerator[bytes, None]:
        """The body as it comes. Raises DeadlineExceeded, UpstreamTimeout and UpstreamBroken."""
        return self._portions() if self._stream is None else self._from_the_start(self._stream)

    async def ahead(self) -> bytes | None:
        """The next portion, which `portions` gives all the same; None at the end. Raises the same."""
        if self._stream is None:
            self._stream = self._portions()
        portion = await anext(self._stream, None)
        if portion is not None:
            self._ahead.append(portion)
        return portion

    async def close(self) -> None:
        """Take nothing more of it."""
        if self._stream is not None:
            await self._stream.aclose()
        self._response.release()

    async def _from_the_start(self, stream: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
        async with aclosing(stream):
            for portion in self._ahead:
                yield portion
            async for portion in stream:
                yield portion

    async def _portions(self) -> AsyncGenerator[bytes, None]:
        if "html" in self._response.headers.get("content-type", ""):
            raise errors.broken(self.endpoint, "is a page of HTML: look at its base_url")
        connection = self._response.connection
        if connection is not None and connection.protocol is not None:
            connection.protocol.read_timeout = None  # it takes any byte for life
        reading = self._reading
        with self._translated(), self._silence as silence:
            async for portion in self._response.content.iter_any():
                silence.waiting(False)
                if reading is None:
                    yield portion
                elif events := self._read(reading.feed, portion):
                    yield events
                silence.waiting(True)
        if reading is not None and (events := self._read(reading.end)):
            yield events

    def progress(self, chunks: int, ending: bool) -> None:
        """Report of a stream how many chunks have come, and whether the answer has its end. Comments are no life: what
        counts as silence is that no chunk comes. After the end a moment is left for the usage; then the stream is taken
        for closed."""
        if ending:
            self._silence.end(CLOSE_SECONDS)
        elif chunks != self._progress:
            self._progress = chunks
            self._silence_name = "idle_seconds"
            self._silence.renew(self.endpoint.idle_seconds)

    async def whole(self, most: int = MOST_BYTES) -> bytes:
        """The body. Raises the same, and UpstreamBroken where it has more than `most` bytes."""
        body = await self.raw(most)
        if self._reading is not None and not self._translated_whole:
            self._taken, self._translated_whole = [self._read(self._reading.whole, body)], True
        return self.taken

    async def raw(self, most: int = MOST_BYTES) -> bytes:
        """The body as the provider has written it. Raises the same."""
        size = 0
        with self._translated():
            async for portion in self._response.content.iter_any():
                self._taken.append(portion)
                size += len(portion)
                if size > most:
                    raise errors.broken(self.endpoint, f"has more than {most} bytes")
        return self.taken

    def _read(self, read: Callable[..., bytes], *what: bytes) -> bytes:
        try:
            return read(*what)
        except ValueError as error:  # what its wire does not know
            raise errors.broken(self.endpoint, str(error)) from error

    @property
    def taken(self) -> bytes:
        """What has come of a body that is taken as a whole."""
        return self._taken[0] if len(self._taken) == 1 else b"".join(self._taken)

    async def drain(self) -> None:
        """Read on to the end, which is near: only so can the connection be used again."""
        if self._response.content.at_eof():
            return
        with suppress(TimeoutError, aiohttp.ClientError):
            async with asyncio.timeout(DRAIN_SECONDS):
                while await self._response.content.readany():
                    pass

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except _Ended:
            return
        except TimeoutError as error:
            raise _late(self.endpoint, self._callers, error, self._silence_name) from error
        except aiohttp.ClientError as error:
            raise errors.broken(self.endpoint, "broke off") from error


class HttpClient:
    """`connections` bounds the connections to all upstreams together; a call waits for one as for an answer."""

    def __init__(self, connections: int = 1024) -> None:
        self._connections = connections
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        self._session = aiohttp.ClientSession(
            connector=_Connector(self._connections),
            cookie_jar=aiohttp.DummyCookieJar(),
            raise_for_status=False,
        )

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()

    @asynccontextmanager
    async def post(
        self,
        endpoint: ModelEndpoint,
        body: bytes,
        seconds: float = math.inf,
        whole: bool = False,
        on_sent: Callable[[], None] = lambda: None,
    ) -> AsyncIterator[UpstreamReply]:
        """The answer to `body`, all of it within `seconds`. It is closed at once where it was not read to its end.

        It is asked for once. An answer that comes `whole` begins when it is done. `on_sent` is called as soon as the
        upstream may have the body. Raises a DomainError for an answer that is none; it is FINAL where the upstream has
        worked on the question.
        """
        until = time.monotonic() + seconds
        ends = min(until, time.monotonic() + endpoint.timeout)
        silence = endpoint.timeout if whole else endpoint.first_byte_seconds
        sending = _Sending(on_sent)
        try:
            response = await self._well(endpoint, body, until, ends, silence, sending)
        except UpstreamUnavailable as error:
            if sending.seconds >= IN_HAND_SECONDS:
                error.details[FINAL] = "true"
            raise
        try:
            yield UpstreamReply(endpoint, response, until <= ends)
        finally:
            response.release()  # closes the connection where something is unread

    async def _well(
        self, endpoint: ModelEndpoint, body: bytes, until: float, ends: float, silence: float, sending: _Sending
    ) -> aiohttp.ClientResponse:
        """A response of the status 200."""
        response = await self._send(endpoint, body, until, ends, silence, sending)
        if response.status == OK:
            return response
        try:
            said = await UpstreamReply(endpoint, response, until <= ends).raw(ERROR_BYTES)
        except DomainError:
            said = b""
        finally:
            response.release()
        raise errors.answered(endpoint, response.status, response.headers, said)

    async def _send(
        self, endpoint: ModelEndpoint, body: bytes, until: float, ends: float, silence: float, sending: _Sending
    ) -> aiohttp.ClientResponse:
        """A kept connection may have been closed at the other end: where it ends at once a new one is tried."""
        if self._session is None:
            raise RuntimeError("the client is not open")
        _sending.set(sending)
        try:
            prepared = await endpoint.wire.prepare(endpoint.url, endpoint.headers, body)
        except Unsigned as error:
            raise errors.misconfigured(endpoint, str(error)) from error
        for again in (True, False):
            sending.at, left = None, max(ends - time.monotonic(), LEAST_SECONDS)  # 0 would mean for ever
            timeout = aiohttp.ClientTimeout(
                total=left,
                sock_connect=endpoint.connect_seconds,
                sock_read=silence if silence < left else None,
                ceil_threshold=math.inf,  # to the point, not to the next whole second
            )
            try:
                return await self._session.post(
                    prepared.url,
                    data=prepared.body,
                    headers=prepared.headers,
                    timeout=timeout,
                    allow_redirects=False,
                    proxy=endpoint.proxy or None,
                )
            except aiohttp.ConnectionTimeoutError as error:
                raise UpstreamUnreachable(f"{errors.who(endpoint)} cannot be reached in time") from error
            except TimeoutError as error:
                name = "timeout" if silence >= endpoint.timeout else "first_byte_seconds"
                raise _late(endpoint, until <= ends, error, name) from error
            except (aiohttp.ClientError, OSError) as error:
                if again and sending.reused and sending.seconds < AT_ONCE_SECONDS:
                    continue
                if sending.at is None:
                    raise UpstreamUnreachable(f"{errors.who(endpoint)} cannot be reached") from error
                raise UpstreamUnavailable(f"{errors.who(endpoint)} closed the connection") from error
        raise AssertionError("the loop ends with an answer or an error")


def _late(endpoint: ModelEndpoint, callers: bool, error: TimeoutError, silence: str) -> DomainError:
    """`callers`: of the limits on a whole answer the caller's is the nearest; `silence` names the limit of the endpoint
    on how long nothing may come. Which of them has ended the waiting is known by the error: a timer may go off before
    the clock says so."""
    who = errors.who(endpoint)
    silent = isinstance(error, aiohttp.SocketTimeoutError)
    if callers and not silent:
        return DeadlineExceeded(f"the call's deadline came before the end of what {who} says")
    name = silence if silent else "timeout"
    seconds: float = getattr(endpoint, name)
    return UpstreamTimeout(f"{who} did not answer within {seconds:g} seconds: its `{name}` in the model catalogue")
