"""Erasing what is kept of a person, or of a tenant: a part at a time, so that nobody else waits long."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Collection
from dataclasses import dataclass
from enum import Enum

from services.orchestrator.agents.specs.store import AgentStore
from services.orchestrator.data.store import DataStore, DataSubject
from services.orchestrator.prompts.store import PromptStore
from services.orchestrator.runs.errors import RunNotFound
from services.runtime.errors import DomainError, ErrorKind, Unavailable

PATIENCE_SECONDS = 15.0
PAUSE_SECONDS = 0.1
# Ends a run under way. Raises DomainError where that is not possible now.
End = Callable[[str], Awaitable[object]]


class What(Enum):
    """What can be erased."""

    RUNS = "runs"
    SESSIONS = "sessions"
    AGENTS = "agents"
    PROMPTS = "prompts"


class DataBusy(Unavailable):
    """Something is in use that was to be erased; the rest is erased already."""

    reason = "DATA_BUSY"


@dataclass(slots=True)
class Erased:
    """How many were erased so far; `messages` of sessions, `agents` and `prompts` by versions."""

    runs: int = 0
    sessions: int = 0
    messages: int = 0
    agents: int = 0
    prompts: int = 0


class DataEraser:
    """`changed` is told a tenant whose agents are gone, `prompts_changed` one whose prompts are."""

    def __init__(
        self, store: DataStore, agents: AgentStore, changed: Callable[[str], None], prompts: PromptStore,
        prompts_changed: Callable[[str], None],
    ) -> None:  # fmt: skip
        self._store = store
        self._agents = agents
        self._changed = changed
        self._prompts = prompts
        self._prompts_changed = prompts_changed

    async def erase(self, whose: DataSubject, what: Collection[What], end: End) -> AsyncGenerator[Erased, None]:
        """The totals, after each part. Raises DataBusy."""
        erased = Erased()
        if whose.before is None and {What.RUNS, What.SESSIONS} & set(what):
            await self._end_all(whose, end)
        if What.RUNS in what:
            while some := await self._store.erase_runs(whose):
                erased.runs += some
                yield erased
        if What.SESSIONS in what:
            async for _ in self._sessions(whose, erased):
                yield erased
        if What.AGENTS in what and not whose.subject and whose.before is None:
            erased.agents = await self._agents.erase(whose.tenant)
            self._changed(whose.tenant)
        if What.PROMPTS in what and not whose.subject and whose.before is None:
            erased.prompts = await self._prompts.erase(whose.tenant)
            self._prompts_changed(whose.tenant)
        yield erased

    async def _end_all(self, whose: DataSubject, end: End) -> None:
        """Cancel what is under way. What begins meanwhile is cancelled too."""
        until = time.monotonic() + PATIENCE_SECONDS
        while runs := await self._store.under_way(whose):
            for run_id in runs:
                try:
                    await end(run_id)
                except RunNotFound:
                    continue
                except DomainError as error:
                    if error.kind is not ErrorKind.UNAVAILABLE or time.monotonic() > until:
                        raise
            if time.monotonic() > until:
                raise DataBusy(f"{len(runs)} runs do not end; try again")
            await asyncio.sleep(PAUSE_SECONDS)

    async def _sessions(self, whose: DataSubject, erased: Erased) -> AsyncIterator[None]:
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            sessions, messages = await self._store.erase_sessions(whose)
            erased.sessions += sessions
            erased.messages += messages
            if sessions:
                yield
                continue
            if whose.before is not None or not await self._words(whose, erased):
                return
            if time.monotonic() > until:
                raise DataBusy("a session is held by another run; try again")
            await asyncio.sleep(PAUSE_SECONDS)

    async def _words(self, whose: DataSubject, erased: Erased) -> bool:
        """Erase a person's words among those of others; whether any are left."""
        for session_id in await self._store.sessions(whose) if whose.subject else ():
            words = await self._store.erase_words(whose, session_id)
            erased.messages += words or 0
        return await self._store.left(whose) > 0
