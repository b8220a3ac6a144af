"""Streams that are asked for one after the other by many callers: how each began, and whether it was an answer."""

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp
import uvloop

from bench.kit.figures import Latencies

CALL_SECONDS = 30.0
TOKEN = b'"content":"word'
DONE = b"[DONE]"


@dataclass(frozen=True, slots=True)
class Asked:
    """When a call was made, in seconds since the load began; seconds to its first token; whether it was answered."""

    at: float
    first: float
    answered: bool


@dataclass(frozen=True, slots=True)
class Load:
    """Of all calls of a stretch of time."""

    asked: list[Asked]
    seconds: float

    @property
    def rate(self) -> float:
        return len(self.asked) / self.seconds

    @property
    def failed(self) -> int:
        return sum(not one.answered for one in self.asked)

    def first(self, since: float) -> Latencies:
        """To the first token, of the answers to calls that were made from then on; where there is none, as long as a
        caller waits."""
        firsts = [one.first for one in self.asked if one.answered and one.at >= since]
        return Latencies.of(firsts or [CALL_SECONDS])


def run(url: str, headers: Mapping[str, str], model: str, callers: int, seconds: float) -> Load:
    """So many callers for so long; what is under way then is waited for."""
    return uvloop.run(_run(url, headers, model, callers, seconds))


async def _run(url: str, headers: Mapping[str, str], model: str, callers: int, seconds: float) -> Load:
    body = {"model": model, "stream": True, "max_tokens": 64, "messages": [{"role": "user", "content": "Say a word."}]}
    data = json.dumps(body).encode()
    asked: list[Asked] = []
    began = time.perf_counter()
    sent = {"content-type": "application/json", **headers}
    timeout = aiohttp.ClientTimeout(total=CALL_SECONDS)
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=callers), headers=sent, timeout=timeout
    ) as session:

        async def caller() -> None:
            while (at := time.perf_counter() - began) < seconds:
                first, answered = await _ask(session, url, data)
                asked.append(Asked(at, first, answered))

        await asyncio.gather(*(caller() for _ in range(callers)))
    return Load(asked, time.perf_counter() - began)


async def _ask(session: aiohttp.ClientSession, url: str, data: bytes) -> tuple[float, bool]:
    started = time.perf_counter()
    first, said = 0.0, b""
    try:
        async with session.post(url, data=data) as response:
            async for portion in response.content.iter_any():
                said += portion
                if not first and TOKEN in said.replace(b" ", b""):
                    first = time.perf_counter() - started
            return first, response.status == 200 and first > 0 and DONE in said and b'"error"' not in said
    except (aiohttp.ClientError, TimeoutError):
        return 0.0, False
