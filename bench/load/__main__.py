"""A closed-loop load generator: so many connections, each asks again as soon as it is answered.

It is one process with one event loop. It holds its own share of the processor up beside what it measured.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import cycle
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

import uvloop

from bench.kit import BenchError
from bench.kit.figures import Latencies
from bench.load.http1 import Response, ResponseReader, request

OK = 200
CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 60.0
EXAMPLE = """\
  python -m bench.load --url http://127.0.0.1:8080/v1/chat/completions --key .headworks/dev.key \\
      --body '{"model": "rag", "messages": [{"role": "user", "content": "What is Headworks?"}]}' --connections 16"""


class UnexpectedAnswer(BenchError):
    """The server answered something else than what was expected, or left."""


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """What to ask: the bodies in turn. `expect` must be in each answer; anything but status 200 ends the run."""

    url: str
    bodies: Sequence[bytes]
    connections: int
    seconds: float
    warm_up: float = 1.0
    headers: dict[str, str] = field(default_factory=dict)
    expect: bytes = b""


@dataclass(frozen=True, slots=True)
class Load:
    """What came of it.

    `answered` counts the answers within the measured `seconds`, `total` those of the warm-up too. `first` is the time
    to a body's first byte. `processor` is the generator's own share of one core.
    """

    answered: int
    total: int
    seconds: float
    latency: Latencies
    first: Latencies
    processor: float

    @property
    def rate(self) -> float:
        return self.answered / self.seconds


class Connection(asyncio.Protocol):
    """One connection, kept alive; one request at a time."""

    def __init__(self) -> None:
        self._reader = ResponseReader()
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[Response] | None = None
        self.first_byte = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass of asyncio's

    def data_received(self, data: bytes) -> None:
        try:
            response = self._reader.feed(data)
        except BenchError as error:
            self._fail(error)
            return
        if not self.first_byte and (response or self._reader.body_begun):
            self.first_byte = time.perf_counter()
        if response and self._answer and not self._answer.done():
            self._answer.set_result(response)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._fail(UnexpectedAnswer(f"the server closed a connection that waited for its answer ({exc})"))

    @property
    def open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def send(self, data: bytes) -> "asyncio.Future[Response]":
        """The answer to come."""
        assert self._transport is not None
        self.first_byte = 0.0
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(data)
        return self._answer

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def _fail(self, error: Exception) -> None:
        if self._answer and not self._answer.done():
            self._answer.set_exception(error)


class Asker:
    """Asks over one connection until the time is up; opens it anew where the server closed it between two answers."""

    def __init__(self, plan: LoadPlan, requests: Iterator[bytes], begin: float) -> None:
        self._plan = plan
        self._requests = requests
        self._begin = begin
        self._end = begin + plan.seconds
        self.latencies: list[float] = []
        self.first: list[float] = []
        self.total = 0

    async def run(self) -> None:
        """Raises UnexpectedAnswer."""
        connection = await _connect(self._plan.url)
        try:
            while (started := time.perf_counter()) < self._end:
                if not connection.open:
                    connection = await _connect(self._plan.url)
                response = await connection.send(next(self._requests))
                self._take(started, connection.first_byte, response)
                if response.close:
                    connection.close()
        finally:
            connection.close()

    def _take(self, started: float, first: float, response: Response) -> None:
        ended = time.perf_counter()
        if response.status != OK or self._plan.expect not in response.body:
            raise UnexpectedAnswer(f"status {response.status}: {response.body[:600].decode(errors='replace')}")
        self.total += 1
        if started >= self._begin and ended <= self._end:
            self.latencies.append(ended - started)
            self.first.append(first - started)


class LoadGenerator:
    """Carries plans out."""

    def run(self, plan: LoadPlan) -> Load:
        """Raises UnexpectedAnswer where anything but the expected is answered."""
        return uvloop.run(generate(plan))


async def generate(plan: LoadPlan) -> Load:
    """Carry the plan out on this loop. Raises UnexpectedAnswer."""
    parts = urlsplit(plan.url)
    wire = cycle([request(parts.path or "/", parts.netloc, plan.headers, body) for body in plan.bodies])
    begin = time.perf_counter() + plan.warm_up
    processor = time.process_time()
    askers = [Asker(plan, wire, begin) for _ in range(plan.connections)]
    started = time.perf_counter()
    try:
        async with asyncio.timeout(plan.warm_up + plan.seconds + ANSWER_SECONDS), asyncio.TaskGroup() as group:
            for asker in askers:
                group.create_task(asker.run())
    except* BenchError as errors:
        raise errors.exceptions[0] from None
    except* TimeoutError:
        raise UnexpectedAnswer(f"no answer for {ANSWER_SECONDS:g} s") from None
    share = (time.process_time() - processor) / (time.perf_counter() - started)
    return _sum_up(askers, plan.seconds, share)


def _sum_up(askers: Sequence[Asker], seconds: float, share: float) -> Load:
    latencies = [latency for asker in askers for latency in asker.latencies]
    if not latencies:
        raise UnexpectedAnswer("nothing was answered within the measured time; give it more")
    first = [latency for asker in askers for latency in asker.first]
    total = sum(asker.total for asker in askers)
    return Load(len(latencies), total, seconds, Latencies.of(latencies), Latencies.of(first), share)


async def _connect(url: str) -> Connection:
    parts = urlsplit(url)
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            loop = asyncio.get_running_loop()
            _, connection = await loop.create_connection(Connection, parts.hostname or "", parts.port or 80)
    except (OSError, TimeoutError) as error:
        raise UnexpectedAnswer(f"no connection to {parts.netloc}: {error}") from error
    return connection


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.load", description="Ask one address the same thing again and again.",
        epilog=f"example:\n{EXAMPLE}", formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--url", required=True, help="where to POST")
    parser.add_argument("--body", required=True, help="the JSON to send")
    parser.add_argument("--key", type=Path, help="file with the API key")
    parser.add_argument("--connections", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--warm-up", type=float, default=1.0)
    return parser.parse_args()


def main() -> int:
    options = _options()
    headers = {"authorization": f"Bearer {options.key.read_text('utf-8').strip()}"} if options.key else {}
    plan = LoadPlan(
        options.url, [options.body.encode()], options.connections, options.seconds, options.warm_up, headers=headers
    )
    try:
        load = LoadGenerator().run(plan)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    print(json.dumps({"rate": load.rate, **asdict(load)}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
