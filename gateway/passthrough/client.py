"""One pool of connections to all upstreams."""

import asyncio
import math
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

import aiohttp

from gateway.passthrough import errors
from gateway.passthrough.upstream import Upstream
from services.runtime.errors import DeadlineExceeded, DomainError
from services.runtime.upstreams import UpstreamTimeout, UpstreamUnavailable

OK = 200
KEPT_SECONDS = 30.0
DRAIN_SECONDS = 0.1
ERROR_BYTES = 64 << 10
MOST_BYTES = 32 << 20
ATTEMPTS = 2
LEAST_SECONDS = 0.001


class Answer:
    """An answer that has begun well. `until`: when the caller's time is over, by the monotonic clock."""

    def __init__(self, upstream: Upstream, response: aiohttp.ClientResponse, until: float) -> None:
        self.upstream = upstream
        self._response = response
        self._until = until

    @property
    def streams(self) -> bool:
        return self._response.headers.get("content-type", "").startswith("text/event-stream")

    async def portions(self) -> AsyncGenerator[bytes, None]:
        """The body as it comes. Raises DeadlineExceeded, UpstreamTimeout and UpstreamBroken."""
        with self._translated():
            async for portion in self._response.content.iter_any():
                yield portion

    async def whole(self, most: int = MOST_BYTES) -> bytes:
        """The body. Raises the same, and UpstreamBroken where it has more than `most` bytes."""
        headers = self._response.headers
        if int(headers.get("content-length", most + 1)) <= most and "content-encoding" not in headers:
            with self._translated():
                return await self._response.read()
        taken: list[bytes] = []
        size = 0
        async for portion in self.portions():
            taken.append(portion)
            size += len(portion)
            if size > most:
                raise errors.broken(self.upstream, f"has more than {most} bytes")
        return taken[0] if len(taken) == 1 else b"".join(taken)

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
        except TimeoutError as error:
            raise _late(self.upstream, self._until) from error
        except aiohttp.ClientError as error:
            raise errors.broken(self.upstream, "broke off") from error


class Client:
    """`connections` bounds the connections to all upstreams together; a call waits for one as for an answer."""

    def __init__(self, connections: int) -> None:
        self._connections = connections
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._connections, keepalive_timeout=KEPT_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
            raise_for_status=False,
        )

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()

    @asynccontextmanager
    async def post(self, upstream: Upstream, body: bytes, seconds: float) -> AsyncIterator[Answer]:
        """The answer to `body`, all of it within `seconds`. It is closed at once where it was not read to its end.

        Raises a DomainError for an answer that is none.
        """
        until = time.monotonic() + seconds
        response = await self._send(upstream, body, seconds)
        try:
            answer = Answer(upstream, response, until)
            if response.status != OK:
                raise errors.answered(upstream, response.status, response.headers, await _said(answer))
            yield answer
        finally:
            response.release()  # closes the connection where something is unread

    async def _send(self, upstream: Upstream, body: bytes, seconds: float) -> aiohttp.ClientResponse:
        """A kept connection may have been closed at the other end: then a new one is tried, once."""
        if self._session is None:
            raise RuntimeError("the client is not open")
        until = time.monotonic() + seconds
        timeout = aiohttp.ClientTimeout(
            total=max(min(seconds, upstream.timeout), LEAST_SECONDS),  # 0 would mean for ever
            sock_connect=upstream.connect_seconds,
            sock_read=upstream.idle_seconds,
            ceil_threshold=math.inf,  # to the point, not to the next whole second
        )
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return await self._session.post(
                    upstream.url, data=body, headers=upstream.headers, timeout=timeout, allow_redirects=False
                )
            except TimeoutError as error:
                raise _late(upstream, until) from error
            except aiohttp.ServerDisconnectedError as error:
                if attempt == ATTEMPTS:
                    raise UpstreamUnavailable(f"{errors.who(upstream)} closed the connection") from error
            except (aiohttp.ClientError, OSError) as error:
                raise UpstreamUnavailable(f"{errors.who(upstream)} cannot be reached") from error
        raise AssertionError("the loop ends with an answer or an error")


async def _said(answer: Answer) -> bytes:
    try:
        return await answer.whole(ERROR_BYTES)
    except DomainError:
        return b""


def _late(upstream: Upstream, until: float) -> DomainError:
    if time.monotonic() >= until:
        return DeadlineExceeded(f"the call's deadline came before the end of what {errors.who(upstream)} says")
    return UpstreamTimeout(f"{errors.who(upstream)} did not answer in time")
