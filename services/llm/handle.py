"""A model that can be asked: its entry, and the engine behind it with the entry's defaults, bounds and metrics."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, aclosing, asynccontextmanager, nullcontext
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import Protocol, TypeAlias

from opentelemetry.trace import SpanKind

from services.llm import spans
from services.llm.catalogue.entry import Capability, CatalogueEntry
from services.llm.chat import Declaration, Form, Message, merge
from services.llm.client import UpstreamReply
from services.llm.concurrency import ConcurrencyLimit
from services.llm.generation import Ended, Generation, Generator, Lost, Routed, Said, TokenCounts
from services.llm.metrics import ModelMetrics
from services.llm.needs import NOTHING, Needs
from services.llm.openai.engine import OpenAiEngine
from services.llm.route_report import RouteReport, TargetHealth
from services.llm.time_left import Deadline
from services.runtime import tracing
from services.runtime.errors import DomainError, ErrorKind, InvalidArgument


class ModelCannot(InvalidArgument):
    """The model is asked for what the catalogue says it cannot do."""

    reason = "MODEL_CANNOT"

    def __init__(self, model: str, what: str, capability: Capability) -> None:
        super().__init__(f"the model {model!r} cannot {what}", model=model, capability=capability.value)


@dataclass(frozen=True, slots=True)
class ModelHandle:
    """A model of the catalogue, or a route. Who asks it knows no URL. `targets`: the models that a route leads to, by
    their names; `health`: how they are."""

    entry: CatalogueEntry
    generator: Generator
    targets: Mapping[str, CatalogueEntry] = field(default_factory=dict)
    health: Callable[[], Sequence[TargetHealth]] = list

    def cost_nanos(self, tokens: TokenCounts, routed: Routed | None = None) -> int:
        """What an answer has cost, by the price of the model that gave it."""
        entry = self.entry if routed is None else self.targets[routed.report.target]
        return entry.cost_nanos(tokens)


Wire: TypeAlias = Callable[[CatalogueEntry], bytes]
"""The body that a model is asked with."""


@dataclass(frozen=True, slots=True)
class BareReply:
    """An answer that is passed on as it comes, and the model that gives it. `report`: how it came to that one, if it
    was by a route."""

    entry: CatalogueEntry
    reply: UpstreamReply
    report: RouteReport | None = None


class BareModel(Protocol):
    """What the gateway asks in OpenAI's own form: a model, or a route."""

    @property
    def entry(self) -> CatalogueEntry: ...

    def health(self) -> Sequence[TargetHealth]:
        """How the targets of a route are; nothing of a model."""
        ...

    def post(
        self,
        wire: Wire,
        seconds: float,
        needs: Needs = NOTHING,
        on_sent: Callable[[], None] = lambda: None,
    ) -> AbstractAsyncContextManager[BareReply]:
        """The answer to a body of OpenAI's form, within `seconds`; one that is needed `whole` begins when it is
        done. Raises DomainErrors."""
        ...


@dataclass(frozen=True, slots=True)
class BareHandle:
    """A model of the catalogue that is asked in OpenAI's own form, whose answers are passed on as they come."""

    entry: CatalogueEntry
    engine: OpenAiEngine
    limit: ConcurrencyLimit | None = None

    def health(self) -> Sequence[TargetHealth]:
        return ()

    @asynccontextmanager
    async def post(
        self,
        wire: Wire,
        seconds: float,
        needs: Needs = NOTHING,
        on_sent: Callable[[], None] = lambda: None,
    ) -> AsyncIterator[BareReply]:
        """See BareModel."""
        ends = Deadline(seconds)
        async with self._place(needs):
            body = wire(self.entry)
            with self._span():
                async with self.engine.post(body, ends.left, needs.whole, on_sent) as reply:
                    yield BareReply(self.entry, reply)

    def _place(self, needs: Needs) -> AbstractAsyncContextManager[None]:
        if self.limit is None:
            return nullcontext()
        return self.limit.place(self.entry.priority or needs.priority, needs.tenant)

    def _span(self) -> AbstractContextManager[object]:
        if not tracing.recording():
            return nullcontext()
        return tracing.detached(f"chat {self.entry.name}", SpanKind.CLIENT, spans.of_model(self.entry))


class BoundedGenerator:
    """The generator of an entry, with what the entry adds."""

    def __init__(self, entry: CatalogueEntry, generator: Generator, metrics: ModelMetrics) -> None:
        self.name = generator.name
        self._entry = entry
        self._generator = generator
        self._metrics = metrics
        self._limit = ConcurrencyLimit(entry.name, entry.places, entry.queue, entry.queue_seconds)
        metrics.running.set_function(lambda: self._limit.running)
        metrics.waiting.set_function(lambda: self._limit.waiting)

    async def count(self, messages: Sequence[Message], tools: Sequence[Declaration] = ()) -> int:
        return await self._generator.count(messages, tools)

    async def generate(self, generation: Generation) -> AsyncGenerator[Said, None]:
        started = last = monotonic()
        observe = self._metrics.first.observe
        end = "left"
        try:
            generation = self._completed(generation)
            with tracing.detached(f"chat {self._entry.name}", SpanKind.CLIENT) as span:
                tracing.describe(span, spans.asked(self._entry, generation))
                async with (
                    self._limit.place(generation.priority),
                    aclosing(self._generator.generate(generation)) as pieces,
                    aclosing(tracing.within(span, pieces)) as steps,
                ):
                    async for piece in steps:
                        if isinstance(piece, Ended):
                            end = piece.finish.value
                            self._metrics.used(piece.tokens)
                            tracing.describe(span, spans.ended(piece))
                        elif type(piece) is not Lost:
                            now = monotonic()
                            observe(now - last)
                            observe, last = self._metrics.between.observe, now
                        yield piece
        except DomainError as error:
            end = error.kind.name
            raise
        except Exception:
            end = ErrorKind.INTERNAL.name
            raise
        finally:
            self._metrics.ended(end)
            self._metrics.seconds.observe(monotonic() - started)

    def _completed(self, generation: Generation) -> Generation:
        """With the entry's defaults where it says nothing. Raises ModelCannot."""
        entry = self._entry
        if generation.tools and Capability.TOOLS not in entry.capabilities:
            raise ModelCannot(entry.name, "call tools", Capability.TOOLS)
        if generation.response_format.form is not Form.TEXT and Capability.JSON_SCHEMA not in entry.capabilities:
            raise ModelCannot(entry.name, "be held to a response_format", Capability.JSON_SCHEMA)
        sampling = merge(generation.sampling, entry.sampling)
        confidence = generation.confidence and Capability.LOGPROBS in entry.capabilities
        priority = entry.priority or generation.priority
        if (sampling, confidence, priority) == (generation.sampling, generation.confidence, generation.priority):
            return generation
        return replace(generation, sampling=sampling, confidence=confidence, priority=priority)
