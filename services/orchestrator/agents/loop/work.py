"""A run under way: what all of its steps share."""

from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from services.llm.catalogue.entry import EngineKind
from services.llm.chat import ResponseFormat
from services.llm.handle import ModelHandle
from services.llm.models import Catalogue
from services.orchestrator.agents.loop.filtering import filter_of
from services.orchestrator.agents.loop.limits import Clock
from services.orchestrator.agents.loop.prompt import PromptTemplates
from services.orchestrator.agents.loop.screener import Screener
from services.orchestrator.agents.loop.transcript import Transcript
from services.orchestrator.agents.specs.spec import AgentSpec
from services.orchestrator.agents.specs.structured import Checker
from services.orchestrator.domain.caller import Caller
from services.orchestrator.domain.document_filter import DocumentFilter
from services.orchestrator.domain.event import Body, ContextTrimmed, FinishReason, Timing, UsageReported, VerdictGiven
from services.orchestrator.domain.passage import Found, Passage, Retriever
from services.orchestrator.runs.agent import Journal, RunInput, RunOutcome
from services.orchestrator.sessions.memory import SessionMemory, SessionWindow
from services.orchestrator.tools.toolbox import Toolbox

Bodies: TypeAlias = AsyncGenerator[Body, None]


class Embedder(Protocol):
    """Turns texts into vectors: float32 [n, 384], length one. Raises DomainErrors."""

    async def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]: ...


class Toolboxes(Protocol):
    """Makes the tools that a spec lists."""

    def check(self, entries: Sequence[Any]) -> list[tuple[tuple[str | int, ...], str]]:
        """What is wrong with the list: where in it, and what."""
        ...

    async def open(self, entries: Sequence[Any]) -> Toolbox:
        """Raises DomainErrors."""
        ...


@dataclass(frozen=True, slots=True)
class Kit:
    """What agents work with. `caller` returns whom the present run acts for."""

    models: Catalogue
    retriever: Retriever
    toolboxes: Toolboxes | None = None
    memory: SessionMemory | None = None
    embedder: Embedder | None = None
    screener: Screener | None = None
    caller: Callable[[], Caller] = Caller


@dataclass(slots=True)
class Work:
    """One run. `form` is the answer's, `checker` checks it; `limit` has ended the run, where it is not empty;
    `closing`: the model was asked for its last words; `screened`: verdicts on what was read that are not told yet."""

    spec: AgentSpec
    handle: ModelHandle
    kit: Kit
    ask: RunInput
    journal: Journal
    prompt: PromptTemplates
    state: Transcript
    clock: Clock
    form: ResponseFormat
    checker: Checker | None
    toolbox: Toolbox
    found: Found | None = None
    window: SessionWindow | None = None
    limit: str = ""
    closing: bool = False
    said: bool = False
    summaries: list[UsageReported] = field(default_factory=list)
    screened: list[VerdictGiven] = field(default_factory=list)
    hops: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    @property
    def quotes(self) -> bool:
        """The model is the extractive one: it quotes from what was found, and reads no prompt."""
        return self.handle.entry.engine is EngineKind.EXTRACTIVE

    @property
    def held(self) -> bool:
        """The answer is shown only once it is known to be the last word."""
        spec = self.spec
        return bool(spec.graders) or spec.approval.answer_below is not None or self.checker is not None

    @property
    def passages(self) -> Sequence[Passage]:
        return self.found.passages if self.found else ()

    @property
    def collections(self) -> tuple[str, ...]:
        """Those that this run reads: the one that the caller chose, or the agent's."""
        return (self.ask.collection,) if self.ask.collection else self.spec.retrieval.collections

    def filter(self) -> DocumentFilter:
        """Which documents this run may read now. Raises FilterUnresolved."""
        return filter_of(self.spec.name, self.spec.retrieval.filter_templates, self.ask.filter, self.kit.caller())

    @property
    def ends(self) -> float | None:
        """When the run's time is over, on the monotonic clock; None where it has no limit."""
        return self.clock.ends(self.spec.limits.seconds)

    @property
    def deadline(self) -> float:
        """When tools must be done, on the monotonic clock."""
        return self.journal.deadline if self.ends is None else min(self.journal.deadline, self.ends)

    def apply(self, body: Body) -> None:
        """Take in what happens."""
        self.state.apply(body)
        if isinstance(body, ContextTrimmed) and self.window is not None and body.messages:
            self.window = replace(self.window, messages=self.window.messages[body.messages :])

    def outcome(self, reason: FinishReason) -> RunOutcome:
        """The run's end. A limit goes before any other reason but a refusal."""
        timings = tuple(Timing(hop, seconds) for hop, seconds in self.hops.items())
        if self.limit and reason is not FinishReason.REJECTED:
            return RunOutcome(FinishReason.LIMIT, timings, self.limit)
        return RunOutcome(reason, timings)


def sampling_of(spec: AgentSpec) -> Mapping[str, Any]:
    """The spec's sampling, what it says of it."""
    return {name: value for name, value in spec.sampling.model_dump().items() if value not in (None, ())}
