"""One call's turn at the cache: the answer that it gets from there, or its own, that others may get."""

from collections.abc import Callable
from enum import StrEnum

from gateway.cache.entry import CachedAnswer, DocumentVersion, Used


class CacheStatus(StrEnum):
    """What became of a call; the words are those of the header and of the API."""

    OFF = ""
    HIT = "hit"
    ALIKE = "alike"
    MISS = "miss"
    BYPASS = "bypass"


Keep = Callable[[str, bytes, Used, tuple[DocumentVersion, ...], str], None]


Leave = Callable[[bool], None]


def _hold_nothing(left: bool) -> None:
    """Nobody waits for the call."""


class CacheTurn:
    """`answer`: what is given again, `age` how many seconds old. `score`: how likely it is right, if given by
    meaning. `charge`: the part of its price that it costs. `keep` stores the call's own answer, where that may be;
    `leave` ends the turn, and takes whether its caller has left."""

    __slots__ = ("_keep", "_leave", "age", "answer", "charge", "score", "status")

    def __init__(
        self,
        status: CacheStatus = CacheStatus.OFF,
        answer: CachedAnswer | None = None,
        *,
        age: float = 0.0,
        score: float = 1.0,
        charge: float = 0.0,
        keep: Keep | None = None,
        leave: Leave = _hold_nothing,
    ) -> None:
        self.status = status
        self.answer = answer
        self.age = age
        self.score = score
        self.charge = charge
        self._keep = keep
        self._leave = leave

    @property
    def keeps(self) -> bool:
        """Whether the call's own answer is wanted."""
        return self._keep is not None

    def keep(
        self, kind: str, body: bytes, used: Used, documents: tuple[DocumentVersion, ...] = (), said: str = ""
    ) -> None:
        """Give the call's answer to others; `said` is its text."""
        keep, self._keep = self._keep, None
        if keep is not None:
            keep(kind, body, used, documents, said)

    def decline(self) -> None:
        """The answer is for its own caller alone."""
        if self._keep is not None:
            self.keep("", b"", Used())

    def close(self, *, left: bool = False) -> None:
        """End the turn of a call, however it has ended. `left`: nothing came because of its caller, and one of those
        who wait for the same may have more."""
        self._keep = None
        self._leave(left)

    def note(self) -> dict[str, object]:
        """What an answer says of it, under "headworks"."""
        said: dict[str, object] = {"status": self.status.value}
        if self.answer is not None:
            said |= {"age_seconds": round(self.age, 3), "key": self.answer.key}
        return said | {"score": round(self.score, 4)} if self.status is CacheStatus.ALIKE else said


NO_TURN = CacheTurn()
"""Of calls for which no policy is on. It holds nothing, so that all have the same one."""
