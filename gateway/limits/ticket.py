"""What a call that was let in holds, and where it stands."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.limits.rule import MINUTE, Limited


@dataclass(frozen=True, slots=True)
class Standing:
    """How much of a minute's requests and tokens is used under one rule: seconds until all of it is free again."""

    limited: Limited
    requests: float = 0.0
    tokens: float = 0.0


class Counters(Protocol):
    """Where tickets are counted."""

    def correct(self, ticket: "Ticket", tokens: int) -> None: ...

    def release(self, ticket: "Ticket") -> None: ...


class Ticket:
    """A call that was let in. `correct` it once the tokens are known, `release` it when its stream is over; each does
    something once. `charged`: the tokens that it was let in with."""

    __slots__ = ("_corrected", "_counters", "_headers", "_released", "charged", "id", "standings", "stream")

    def __init__(
        self, counters: Counters | None, standings: Sequence[Standing], charged: int, stream: bool, id_: str = ""
    ) -> None:
        self._counters = counters
        self._headers: Mapping[str, str] | None = None
        self.standings = standings
        self.charged = charged
        self.stream = stream
        self.id = id_
        self._corrected = False
        self._released = False

    @property
    def headers(self) -> Mapping[str, str]:
        """x-ratelimit-…, as OpenAI has them: of the rule with the least left."""
        if self._headers is None:
            self._headers = headers(self.standings)
        return self._headers

    def correct(self, tokens: int) -> None:
        """Count `tokens` in place of what was estimated."""
        if self._counters is not None and not self._corrected:
            self._counters.correct(self, tokens)
        self._corrected = True

    def release(self) -> None:
        """The stream is over."""
        if self._counters is not None and self.stream and not self._released:
            self._counters.release(self)
        self._released = True


def charge(estimate: int, limit: int) -> int:
    """What an estimate takes under a limit: no more than a whole minute's. The rest is taken by `correct`."""
    return min(estimate, limit)


def headers(standings: Sequence[Standing]) -> dict[str, str]:
    """limit, remaining and reset, of requests and of tokens; nothing for what has no limit."""
    made: dict[str, str] = {}
    for what in ("requests", "tokens"):
        rows = [
            (_left(getattr(one, what), getattr(one.limited.rule, what)), getattr(one, what), one.limited.rule)
            for one in standings
            if getattr(one.limited.rule, what)
        ]
        if rows:
            left, used, rule = min(rows, key=lambda row: row[0])
            made[f"x-ratelimit-limit-{what}"] = str(getattr(rule, what))
            made[f"x-ratelimit-remaining-{what}"] = str(left)
            made[f"x-ratelimit-reset-{what}"] = duration(used)
    return made


def _left(used: float, limit: int) -> int:
    return max(0, int((MINUTE - used) * limit / MINUTE + 1e-3))


def duration(seconds: float) -> str:
    """As OpenAI writes it: 6ms, 1s, 1.5s, 6m0s."""
    if seconds < 1:
        return f"{max(0, round(seconds * 1000))}ms"
    minutes, rest = divmod(round(seconds, 3), 60)
    left = f"{rest:.3f}".rstrip("0").rstrip(".") + "s"
    return f"{int(minutes)}m{left}" if minutes else left
