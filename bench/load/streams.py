"""A load generator for streamed answers: waves of streams that begin together, each chunk timed as it comes.

One process with one event loop and a reader that looks at no more than it must. It holds its own share of the
processor up beside what it measured.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast
from urllib.parse import urlsplit

import uvloop

from bench.kit import BenchError
from bench.kit.figures import Latencies
from bench.load import sse
from bench.load.http1 import Response, ResponseReader, request

OK = 200
CONNECT_SECONDS = 10.0
WAVE_SECONDS = 300.0
SHOWN = 600


class UnexpectedStream(BenchError):
    """The server answered something else than the stream that was expected, or left."""


@dataclass(frozen=True, slots=True)
class StreamPlan:
    """What to ask: wave after wave, each body of a wave over a connection of its own, all at once.

    Every answer must come to `tokens` tokens by the usage in its last chunk.
    """

    url: str
    waves: Sequence[Sequence[bytes]]
    tokens: int
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Streams:
    """What came of it, over all streams of all waves.

    `rate` is tokens per second, from a wave's first request to its last answer's end. `first` is from a stream's
    request to its first chunk with text; `gaps` between successive chunks with text; `each` are the same gaps shared
    among the tokens of the chunk that ended them, a chunk's tokens being estimated by its share of the answer's text.
    `chunks` per answer; `prompt` tokens on average; `processor` is the generator's own share of one core.
    """

    rate: float
    first: Latencies
    gaps: Latencies
    each: Latencies
    chunks: float
    prompt: float
    processor: float


@dataclass
class Trace:
    """An answer as it came: when it was asked for, when chunks with text came, how much text they had."""

    started: float = field(default_factory=time.perf_counter)
    times: list[float] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    usage: Mapping[str, int] = field(default_factory=dict)


class Stream(asyncio.Protocol):
    """A connection, kept alive, with one streamed answer at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._done: asyncio.Future[None] | None = None
        self._begin()

    def _begin(self) -> None:
        self._reader = ResponseReader()
        self._events = sse.Events()
        self.trace = Trace()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass of asyncio's

    def ask(self, data: bytes) -> "asyncio.Future[None]":
        """Done when the answer has ended."""
        assert self._transport is not None
        self._begin()
        self._done = asyncio.get_running_loop().create_future()
        self._transport.write(data)
        return self._done

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        try:
            response = self._reader.feed(data)
            if response is None and self._reader.status != OK:
                return
            self._see(now, self._events.feed(response.body if response else self._reader.take()))
            if response:
                self._end(response)
        except BenchError as error:
            self._fail(error)

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(UnexpectedStream(f"the server closed a connection in the middle of an answer ({exc})"))

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def _see(self, now: float, events: Sequence[bytes]) -> None:
        """Events that came together are one chunk to whoever reads them."""
        size = 0
        for event in events:
            size += sse.text_size(event)
            if sse.is_error(event):
                raise UnexpectedStream(f"the stream says: {event[:SHOWN].decode(errors='replace')}")
            self.trace.usage = sse.usage_of(event) or self.trace.usage
        if size:
            self.trace.times.append(now)
            self.trace.sizes.append(size)

    def _end(self, response: Response) -> None:
        if response.status != OK:
            raise UnexpectedStream(f"status {response.status}: {response.body[:SHOWN].decode(errors='replace')}")
        if self._done and not self._done.done():
            self._done.set_result(None)

    def _fail(self, error: Exception) -> None:
        if self._done and not self._done.done():
            self._done.set_exception(error)


@dataclass
class Tally:
    """Collects what the streams of a plan came to."""

    tokens: int
    seconds: float = 0.0
    answers: int = 0
    prompt: int = 0
    chunks: int = 0
    first: list[float] = field(default_factory=list)
    gaps: list[float] = field(default_factory=list)
    each: list[float] = field(default_factory=list)

    def add(self, trace: Trace) -> None:
        """Raises UnexpectedStream for an answer that is not as long as was asked. Random weights may write bytes that
        are no text until the end, which then comes in one chunk."""
        wrote = trace.usage.get("completion_tokens", 0)
        if wrote != self.tokens or not trace.times:
            raise UnexpectedStream(
                f"an answer has {wrote} tokens in {len(trace.times)} chunks with text instead of {self.tokens} tokens"
            )
        self.answers += 1
        self.prompt += trace.usage.get("prompt_tokens", 0)
        self.chunks += len(trace.times)
        self.first.append(trace.times[0] - trace.started)
        gaps = [after - before for before, after in zip(trace.times, trace.times[1:], strict=False)]
        self.gaps += gaps
        each = sum(trace.sizes) / wrote
        shares = (max(round(size / each), 1) for size in trace.sizes[1:])
        self.each += [gap / share for gap, share in zip(gaps, shares, strict=True)]

    def total(self, processor: float) -> Streams:
        return Streams(
            rate=self.tokens * self.answers / self.seconds,
            first=Latencies.of(self.first),
            gaps=Latencies.of(self.gaps),
            each=Latencies.of(self.each),
            chunks=self.chunks / self.answers,
            prompt=self.prompt / self.answers,
            processor=processor,
        )


class StreamLoad:
    """Carries plans out."""

    def run(self, plan: StreamPlan) -> Streams:
        """Raises UnexpectedStream where anything but the expected is answered."""
        return uvloop.run(generate(plan))


async def generate(plan: StreamPlan) -> Streams:
    """Carry the plan out on this loop. Raises UnexpectedStream."""
    parts = urlsplit(plan.url)
    tally = Tally(plan.tokens)
    streams = [await connect(plan.url) for _ in range(max(map(len, plan.waves)))]
    began, processor = time.perf_counter(), time.process_time()
    try:
        for wave in plan.waves:
            wire = [request(parts.path or "/", parts.netloc, plan.headers, body) for body in wave]
            started = time.perf_counter()
            async with asyncio.timeout(WAVE_SECONDS):
                await asyncio.gather(*(stream.ask(data) for stream, data in zip(streams, wire, strict=False)))
            tally.seconds += time.perf_counter() - started
            for stream in streams[: len(wave)]:
                tally.add(stream.trace)
    except TimeoutError:
        raise UnexpectedStream(f"a wave of answers did not end within {WAVE_SECONDS:g} s") from None
    finally:
        for stream in streams:
            stream.close()
    return tally.total((time.process_time() - processor) / (time.perf_counter() - began))


async def connect(url: str) -> Stream:
    """Raises UnexpectedStream."""
    parts = urlsplit(url)
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            _, stream = await asyncio.get_running_loop().create_connection(
                Stream, parts.hostname or "", parts.port or 80
            )
    except (OSError, TimeoutError) as error:
        raise UnexpectedStream(f"no connection to {parts.netloc}: {error}") from error
    return stream
