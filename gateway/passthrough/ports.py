"""What the passthrough asks of the gateway's policy: to screen what an answer says, and to book what it uses."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias


class Released(Protocol):
    """Text that may go out; `blocked` is not None where nothing may follow it."""

    @property
    def text(self) -> str: ...
    @property
    def blocked(self) -> object | None: ...


class OutputStream(Protocol):
    """Screens one text as it comes. `released_until` is how much of the original is decided, in characters. `whole`
    takes the rest of it, in one go: cheaper than to feed it and to finish."""

    @property
    def released_until(self) -> int: ...
    def feed(self, text: str) -> Released: ...
    def finish(self) -> Released: ...
    def whole(self, text: str) -> Released: ...


# Makes the screen of one text; an answer has several where it calls tools.
Screen: TypeAlias = Callable[[], OutputStream]


@dataclass(frozen=True, slots=True)
class Spent:
    """What a call used. `estimated`: the upstream did not say, and the tokens were counted here.

    `finish_reason` is the upstream's own, or "content_filter", "budget", "error" or "cancelled".
    """

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    finish_reason: str
    estimated: bool = False


class Meter(Protocol):
    """Counts while an answer comes, and books it when it is over."""

    def take(self, completion_tokens: int) -> bool:
        """So many have come so far. False: what is reserved does not suffice."""
        ...

    async def extend(self, completion_tokens: int) -> bool:
        """Reserve more. False: the budget is over, and so is the answer."""
        ...

    def settle(self, spent: Spent) -> Awaitable[object]:
        """Book, at once; what comes back is done once it is written. It is called once, and not at all where the
        upstream never began to answer. After a failure nobody waits for it."""
        ...
