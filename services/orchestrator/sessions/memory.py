"""What an agent remembers of its session."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from services.llm.chat import Message

# The tokens of messages, as the agent's model counts them.
Count: TypeAlias = Callable[[Sequence[Message]], Awaitable[int]]
# A new summary from the one so far (empty at first) and the messages that it is to take in.
Summarise: TypeAlias = Callable[[str, Sequence[Message]], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class SessionWindow:
    """What a model is to read of a session before the run's own messages: a summary of what lies beyond `messages`,
    empty where nothing does or nobody summed it up, and the latest messages, the oldest first. They begin with a
    user's message, so that no tool's result stands without its call."""

    summary: str = ""
    messages: tuple[Message, ...] = ()


class SessionMemory(Protocol):
    """The sessions of all tenants."""

    async def window(
        self, tenant: str, session_id: str, budget: int, count: Count, summarise: Summarise | None = None
    ) -> SessionWindow:
        """The latest messages of a session, `budget` tokens at most with the summary.

        What no longer fits is summed up by `summarise`, and the summary is stored, so that it is made once; without
        `summarise` it is left out. An unknown session is an empty one. The messages of a run are added to its session
        by the executor, when the run ends: an agent only reads. Raises DomainErrors: those of `count` and
        `summarise`, and UNAVAILABLE where the store is gone.
        """
        ...
