"""What the agent reads of its session."""

import time
from collections.abc import Sequence
from contextlib import aclosing
from functools import partial

from services.llm.chat import Message, Role, Sampling
from services.llm.generation import Ended, Generation, Piece, Routed, TokenCounts
from services.orchestrator.agents.loop.bounds import BrokenOff, bounded, given_up
from services.orchestrator.agents.loop.extracting import extract
from services.orchestrator.agents.loop.work import Bodies, Work
from services.orchestrator.domain.event import StepFinished, StepKind, StepStarted, UsageReported
from services.orchestrator.sessions.memory import Summarise

SUMMARISE = (
    "Sum up the conversation for yourself in at most 150 words: what was asked, what was found, what was agreed. "
    "Write the summary only."
)
SUMMARY_TOKENS = 600
"""Room for what is asked for, in any language."""


def recalls(work: Work) -> bool:
    """The run goes on with a session that has not been read yet."""
    return work.window is None and bool(work.ask.session_id) and work.kit.memory is not None


async def remember(work: Work) -> Bodies:
    """Read the session. Where the model sums up the older part of it, that is a step."""
    state, model = work.state, work.handle.entry.name
    started = time.monotonic()
    await recall(work)
    if not work.summaries and state.open is None:
        return
    if state.open is None:
        yield StepStarted(state.steps + 1, StepKind.SUMMARISE, model)
    usage = sum(work.summaries, UsageReported(0, 0))
    took = time.monotonic() - started
    yield StepFinished(state.steps, StepKind.SUMMARISE, model, usage, took, took)


async def recall(work: Work) -> None:
    """Fill `work.window`, once, for a run in a session."""
    if not recalls(work) or work.kit.memory is None:
        return
    memory = work.spec.memory
    summarise: Summarise | None = None
    if memory.summary == "extract":
        summarise = partial(_extracted, min(SUMMARY_TOKENS, memory.window_tokens // 2))
    elif memory.summary and not work.quotes:
        summarise = partial(_summary, work)
    work.window = await work.kit.memory.window(
        work.journal.tenant,
        work.ask.session_id,
        memory.window_tokens,
        work.handle.generator.count,
        summarise,
    )


async def _extracted(most: int, summary: str, messages: Sequence[Message]) -> str:
    return extract(summary, messages, most)


async def _summary(work: Work, summary: str, messages: Sequence[Message]) -> str:
    """A new summary, by the agent's own model."""
    spoken = "\n".join(f"{message.role.name.lower()}: {message.content}" for message in messages if message.content)
    known = f"So far: {summary}\n\n" if summary else ""
    asked = (Message(Role.SYSTEM, SUMMARISE), Message(Role.USER, known + spoken))
    parts: list[str] = []
    routed: Routed | None = None
    generation = Generation(asked, sampling=Sampling(max_tokens=SUMMARY_TOKENS), priority=work.ask.priority)
    try:
        pieces = bounded(work.handle.generator.generate(generation), work.ends, SUMMARY_TOKENS)
        async with aclosing(pieces):
            async for piece in pieces:
                if isinstance(piece, Piece):
                    parts.append(piece.text)
                elif isinstance(piece, Routed):
                    routed = piece
                elif isinstance(piece, Ended):
                    work.summaries.append(_usage(work, piece.tokens, routed))
    except BrokenOff:
        work.summaries.append(_usage(work, given_up(generation, "".join(parts)).tokens, routed))
    return "".join(parts).strip()


def _usage(work: Work, tokens: TokenCounts, routed: Routed | None) -> UsageReported:
    return UsageReported.of(tokens, work.handle.cost_nanos(tokens, routed))
