"""Calls of an HTTP face, as tests read them: the parts of an answer as they come, or why there is none."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from services.runtime.server import App


@dataclass(frozen=True)
class Part:
    """What came at once of an answer's body."""

    content_type: str
    data: bytes


class Refused(Exception):
    """The status of an answer that is none, OpenAI's form of why, and its headers."""

    def __init__(self, response: httpx.Response) -> None:
        self.status = response.status_code
        self.headers = response.headers
        self.error: dict[str, Any] = json.loads(response.content)["error"]
        super().__init__(f"{self.status}: {self.error}")


@dataclass
class HttpCall:
    """A request that is made at once, in a task of its own, which `cancel` ends together with the connection."""

    client: httpx.AsyncClient
    verb: str
    path: str
    body: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._parts: asyncio.Queue[Part | None] = asyncio.Queue()
        self._begun = asyncio.Event()
        self._response: httpx.Response | None = None
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        try:
            sent = self.client.stream(self.verb, self.path, content=self.body, headers=self.headers)
            async with sent as response:
                if response.status_code != 200:
                    await response.aread()
                    raise Refused(response)
                self._response = response
                self._begun.set()
                async for data in response.aiter_raw():
                    self._parts.put_nowait(Part(response.headers["content-type"], data))
        finally:
            self._parts.put_nowait(None)
            self._begun.set()

    def cancel(self) -> None:
        """Leave."""
        self._task.cancel()

    async def response(self) -> httpx.Response:
        """Once it has begun. Raises Refused."""
        await self._begun.wait()
        if self._response is None:
            await self._task
        assert self._response is not None
        return self._response

    async def read(self) -> Part:
        """The next part. Raises Refused, and AssertionError at the end."""
        part = await self._parts.get()
        if part is None:
            await self._task
            raise AssertionError("the answer is at its end")
        return part

    async def __aiter__(self) -> AsyncIterator[Part]:
        while (part := await self._parts.get()) is not None:
            yield part
        await self._task

    async def whole(self) -> Part:
        """All that came. Raises Refused."""
        parts = [part async for part in self]
        return Part(parts[0].content_type if parts else "", b"".join(part.data for part in parts))


@asynccontextmanager
async def http_of(app: App) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the HTTP server beside the app's gRPC server, which is served as long as the block lasts."""
    [server] = app.beside
    address = await server.start(lambda: True)
    try:
        async with httpx.AsyncClient(base_url=f"http://{address}", timeout=30) as client:
            yield client
    finally:
        await server.stop(0)
