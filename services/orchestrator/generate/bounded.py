"""What the catalogue adds to every generator: its defaults, its bounds, its metrics."""

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
        started = last = monotonic()
        observe = self._metrics.first.observe
        generation = self._completed(generation)
        end = "left"
        try:
            async with (
                self._gate.pass_through(generation.priority),
                aclosing(self._generator.generate(generation)) as pieces,
            ):
                async for piece in pieces:
                    if isinstance(piece, Ended):
                        end = piece.finish.value
                        self._metrics.used(piece.tokens)
                    else:
                        now = monotonic()
                        observe(now - last)
                        observe, last = self._metrics.between.observe, now
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
