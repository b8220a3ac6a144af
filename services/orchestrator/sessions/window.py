"""The part of a session that a model reads: the latest messages that fit, and a summary of those before."""

import logging
from collections.abc import Sequence

from services.llm.chat import Message, Role
from services.orchestrator.runs.access import Viewer
from services.orchestrator.sessions.memory import Count, SessionWindow, Summarise
from services.orchestrator.sessions.store import SessionStore
from services.runtime.errors import DomainError

log = logging.getLogger(__name__)


class Sessions:
    """The SessionMemory of agents, and the RunClaims of the executor."""

    def __init__(self, store: SessionStore) -> None:
        self._store = store

    async def claim(self, viewer: Viewer, session_id: str, run_id: str) -> int:
        return await self._store.claim(viewer, session_id, run_id)

    async def count(self, tenant: str, session_id: str) -> int:
        return await self._store.count(tenant, session_id)

    async def window(
        self, tenant: str, session_id: str, budget: int, count: Count, summarise: Summarise | None = None
    ) -> SessionWindow:
        """See SessionMemory."""
        session = await self._store.find(tenant, session_id)
        if session is None or session.message_count == 0:
            return SessionWindow()
        messages = await self._store.messages(tenant, session_id, session.summarised)
        summary = session.summary if summarise is not None else ""
        if await count([*_spoken(summary), *messages]) <= budget:
            return SessionWindow(summary, tuple(messages))
        # Half of the budget is left free, so that not every run has to sum up again.
        start = await _latest(messages, budget // 2, count)
        if summarise is None:
            return SessionWindow("", tuple(messages[await _latest(messages, budget, count) :]))
        try:
            summary = await _summed(summary, messages[:start], max(budget, 1), count, summarise)
        except DomainError as error:
            log.warning("a session was not summed up", extra={"reason": error.reason})
            return SessionWindow(summary, tuple(messages[start:]))
        await self._store.summarise(tenant, session_id, summary, session.summarised + start)
        return SessionWindow(summary, tuple(messages[start:]))


def _spoken(summary: str) -> list[Message]:
    return [Message(Role.SYSTEM, summary)] if summary else []


async def _latest(messages: Sequence[Message], budget: int, count: Count) -> int:
    """Where the longest end of the messages begins that fits and begins with a user's message."""
    starts = [number for number, message in enumerate(messages) if message.role is Role.USER]
    low, high = 0, len(starts)
    while low < high:
        middle = (low + high) // 2
        if await count(messages[starts[middle] :]) <= budget:
            high = middle
        else:
            low = middle + 1
    return starts[low] if low < len(starts) else len(messages)


async def _summed(summary: str, messages: Sequence[Message], budget: int, count: Count, summarise: Summarise) -> str:
    """The summary with the messages in it, taken in by parts that the model can read."""
    part: list[Message] = []
    for message in messages:
        if part and await count([*part, message]) > budget:
            summary = await summarise(summary, part)
            part = []
        part.append(message)
    return await summarise(summary, part) if part else summary
