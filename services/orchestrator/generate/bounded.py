"""What the catalogue adds to every generator: its defaults, its bounds, its time limit, its metrics."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import fields, replace
from time import monotonic

from services.orchestrator.conversation import Message, Sampling
from services.orchestrator.generate.entry import Entry
from services.orchestrator.generate.gate import Gate
from services.orchestrator.generate.generator import Calls, Ended, Generation, Generator, Piece
from services.orchestrator.generate.metrics import ModelMetrics
from services.orchestrator.tools.tool import Declaration
from services.runtime.errors import DomainError, Kind


class ModelTimeout(DomainError):
    """A generation took longer than the catalogue allows."""

    kind = Kind.DEADLINE_EXCEEDED
    reason = "MODEL_TIMEOUT"

    def __init__(self, model: str, seconds: float) -> None:
        super().__init__(f"the model {model!r} did not answer within {seconds:g} seconds", model=model)


class BoundedGenerator:
    """The generator of a catalogue's entry."""

    def __init__(self, entry: Entry, generator: Generator, metrics: ModelMetrics) -> None:
        self.name = generator.name
        self._entry = entry
        self._generator = generator
        self._metrics = metrics
        self._gate = Gate(entry.name, entry.places, entry.queue, entry.queue_seconds)
        metrics.running.set_function(lambda: self._gate.running)
        metrics.waiting.set_function(lambda: self._gate.waiting)

    async def count(self, messages: Sequence[Message], tools: Sequence[Declaration] = ()) -> int:
        return await self._generator.count(messages, tools)

    async def generate(self, generation: Generation) -> AsyncGenerator[Piece | Calls | Ended, None]:
        started = monotonic()
        end = "left"
        try:
            async with aclosing(self._bounded(self._completed(generation), started)) as pieces:
                async for piece in pieces:
                    if isinstance(piece, Ended):
                        end = piece.finish.value
                        self._metrics.used(piece.tokens)
                    yield piece
        except DomainError as error:
            end = error.kind.name
            raise
        except Exception:
            end = Kind.INTERNAL.name
            raise
        finally:
            self._metrics.ended(end)
            self._metrics.seconds.observe(monotonic() - started)

    async def _bounded(self, generation: Generation, started: float) -> AsyncGenerator[Piece | Calls | Ended, None]:
        deadline = asyncio.get_running_loop().time() + self._entry.timeout
        observe, last = self._metrics.first.observe, started
        async with (
            self._gate.pass_through(generation.priority),
            aclosing(self._generator.generate(generation)) as pieces,
        ):
            while True:
                limit = asyncio.timeout_at(deadline)
                try:
                    async with limit:
                        piece = await anext(pieces)
                except StopAsyncIteration:
                    return
                except TimeoutError as error:
                    if limit.expired():
                        raise ModelTimeout(self._entry.name, self._entry.timeout) from error
                    raise
                if not isinstance(piece, Ended):
                    now = monotonic()
                    observe(now - last)
                    observe, last = self._metrics.between.observe, now
                yield piece

    def _completed(self, generation: Generation) -> Generation:
        """With the entry's defaults where it says nothing."""
        sampling = merge(generation.sampling, self._entry.sampling)
        if sampling is generation.sampling and self._entry.priority is None:
            return generation
        return replace(generation, sampling=sampling, priority=self._entry.priority or generation.priority)


def merge(given: Sampling, default: Sampling) -> Sampling:
    """What is given, and the default where nothing is."""
    if default == Sampling():
        return given
    missing = {field.name: getattr(default, field.name) for field in fields(Sampling) if _unset(given, field.name)}
    return replace(given, **missing)


def _unset(sampling: Sampling, name: str) -> bool:
    value = getattr(sampling, name)
    return value is None or value is False or value == ()
