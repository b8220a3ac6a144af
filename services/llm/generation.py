"""What is asked of a model and what comes back, whichever engine serves it. Pure."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol, TypeAlias

from services.llm.chat import Declaration, Message, Priority, ResponseFormat, Sampling, ToolCall, ToolChoice
from services.llm.route_report import RouteReport


@dataclass(frozen=True, slots=True)
class Generation:
    """What a model is asked for. `continues`: the last message is the beginning of the answer, and the rest is asked
    for, of a model that can go on. `confidence` asks how sure the model is, `reasoning` for what it thinks aloud.

    `found` is what a generator without a language model quotes from, in its own form, `max_sentences` at most; a
    language model reads the passages from `messages`.
    """

    messages: tuple[Message, ...]
    tools: tuple[Declaration, ...] = ()
    tool_choice: ToolChoice = ToolChoice()
    serial_tool_calls: bool = False
    response_format: ResponseFormat = ResponseFormat()
    sampling: Sampling = Sampling()
    priority: Priority = Priority.INTERACTIVE
    confidence: bool = False
    reasoning: bool = False
    found: Any = None
    max_sentences: int = 2
    continues: bool = False


@dataclass(frozen=True, slots=True)
class Piece:
    """The next piece of the answer, which goes on right after the last. `citation`: what it quotes, in the form of the
    generator that quotes; None of a language model. `tokens`: how many it took, 0 where that is not known. `refusal`:
    it is said instead of an answer."""

    text: str
    citation: Any = None
    tokens: int = 0
    refusal: bool = False


@dataclass(frozen=True, slots=True)
class Thought:
    """The next piece of what the model thinks aloud. It comes where it was asked for, and is no part of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class Lost:
    """An error follows, by which an answer ends that had begun. `text`: what was seen of it beside the pieces: nobody
    reads that, but the model has written it."""

    text: str


@dataclass(frozen=True, slots=True)
class Calls:
    """Tools that the model calls; their results are part of the next Generation."""

    calls: tuple[ToolCall, ...]


class Finish(StrEnum):
    """Why a model stopped."""

    STOP = "stop"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"
    CONTENT_FILTER = "content_filter"  # its server has ended the answer
    REFUSAL = "refusal"  # it has refused, in the words of its pieces
    NO_ANSWER = "no_answer"  # the extractive generator: the passages do not answer the question


@dataclass(frozen=True, slots=True)
class TokenCounts:
    """Tokens of one generation; `cached` of those read were in the model's prefix cache, `kept` of them were put into
    it, `reasoning` of those written are what it thought."""

    read: int = 0
    written: int = 0
    cached: int = 0
    reasoning: int = 0
    kept: int = 0


@dataclass(frozen=True, slots=True)
class Ended:
    """The last thing a generator yields. `confidence`: 0 to 1, None where it was not asked for or is not known."""

    finish: Finish
    tokens: TokenCounts
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class Routed:
    """The first thing that a route over several models yields: which of them answers, and why."""

    report: RouteReport


Said: TypeAlias = Piece | Thought | Calls | Lost | Routed | Ended
"""What comes of a model."""


class Generator(Protocol):
    """A model behind one engine."""

    @property
    def name(self) -> str:
        """The hop's name in timings."""
        ...

    def generate(self, generation: Generation) -> AsyncGenerator[Said, None]:
        """Pieces and calls as they come, then Ended; or Lost, and an error. Closing the iterator stops the engine's
        work. Raises DomainErrors: InvalidArgument for a context that is too long, RESOURCE_EXHAUSTED where the engine
        is full."""
        ...

    async def count(self, messages: Sequence[Message], tools: Sequence[Declaration] = ()) -> int:
        """Tokens of a prompt; an estimate where the engine cannot count. Raises DomainErrors."""
        ...
