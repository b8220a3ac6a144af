"""What no answer of a model can pass: the run's time, the tokens that it was allowed, a number of calls, and the tools
that it was offered. A model may disregard all that it is asked for."""

import asyncio
import time
from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import aclosing

from services.llm.chat import Choice, ToolChoice
from services.llm.generation import Calls, Ended, Finish, Generation, Lost, Piece, Said, Thought, TokenCounts
from services.llm.tokens import CHARACTERS_PER_TOKEN, estimate, estimate_generation
from services.orchestrator.agents.loop.limits import SECONDS
from services.orchestrator.domain.tool import ToolCall
from services.runtime.errors import DomainError, ErrorKind, InvalidArgument

MOST_CALLS = 128
"""Of one answer; those after them are left out."""


class BrokenOff(Exception):
    """The answer was not let go on. `limit` is SECONDS where the time was over, else it was too long."""

    def __init__(self, limit: str = "") -> None:
        super().__init__(limit or "length")
        self.limit = limit


async def bounded(
    pieces: AsyncGenerator[Said, None], ends: float | None = None, most: int | None = None
) -> AsyncGenerator[Said, None]:
    """The pieces, until `ends` on the monotonic clock, and to about twice the `most` tokens that the model was allowed:
    tokens are estimated, and a model that keeps to its bound is never cut. Raises BrokenOff."""
    written = 0
    async with aclosing(pieces):
        while True:
            piece = await (anext(pieces, None) if ends is None else _by(ends, pieces))
            if piece is None:
                return
            if ends is not None and time.monotonic() >= ends:
                raise BrokenOff(SECONDS)  # also of a model that never keeps anybody waiting
            yield piece
            written += length(piece)
            if most is not None and written > longest(most):
                raise BrokenOff


async def _by(ends: float, pieces: AsyncGenerator[Said, None]) -> Said | None:
    """The next piece; None after the last. Raises BrokenOff where it is not there in time."""
    limit = asyncio.timeout(ends - time.monotonic())
    try:
        async with limit:
            return await anext(pieces, None)
    except TimeoutError:
        if not limit.expired():  # by the timer, which may be a little ahead of the clock
            raise
        raise BrokenOff(SECONDS) from None


def longest(tokens: int) -> int:
    """Characters of an answer that was allowed so many tokens, at most."""
    return CHARACTERS_PER_TOKEN * (2 * tokens + 16)


def length(piece: Said) -> int:
    """Characters that the model wrote."""
    if isinstance(piece, Piece | Thought):
        return len(piece.text)
    if isinstance(piece, Calls):
        return sum(len(call.name) + len(call.arguments_json) for call in piece.calls)
    return 0


def given_up(generation: Generation, written: str) -> Ended:
    """The end of a generation that was broken off, whose tokens can only be guessed: of all that was sent, and of all
    that the model wrote."""
    return Ended(Finish.LENGTH, TokenCounts(estimate_generation(generation), estimate(written)))


def begun(written: str, lost: Lost | None, error: DomainError) -> bool:
    """Whether a model had begun to answer that an error has ended, or was at work when its time was over."""
    return bool(written) or lost is not None or error.kind is ErrorKind.DEADLINE_EXCEEDED


def finish_of(finish: Finish, calls: Sequence[ToolCall]) -> Finish:
    """Why an answer ended, by the calls that are left of those that it made."""
    if calls:
        return Finish.TOOL_CALLS
    return Finish.STOP if finish is Finish.TOOL_CALLS else finish


def permitted(generation: Generation, calls: Sequence[ToolCall]) -> list[ToolCall]:
    """The calls that this request left the model free to make: none without tools or with `tool_choice: none`. One of a
    name that nobody has is among them, where tools were offered: its result tells the model so."""
    if not generation.tools or generation.tool_choice.choice is Choice.NONE:
        return []
    return list(calls[:MOST_CALLS])


def check_choice(choice: ToolChoice, names: Collection[str]) -> None:
    """Raises InvalidArgument for a choice that demands a call where there is no tool of that name, or none at all."""
    if choice.choice is Choice.REQUIRED and not names:
        raise InvalidArgument("tool_choice demands a call, and there are no tools", field="tool_choice")
    if choice.choice is Choice.FUNCTION and choice.function not in names:
        raise InvalidArgument(f"tool_choice names {choice.function!r}, which is none of the tools", field="tool_choice")


def offered(generation: Generation, calls: Sequence[ToolCall]) -> list[ToolCall]:
    """Those of the permitted calls whose tools are there."""
    names = {tool.name for tool in generation.tools}
    return [call for call in permitted(generation, calls) if call.name in names]
