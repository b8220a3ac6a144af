"""Calls of nobody known, told together: one entry for each address and reason in a minute, however many there were."""

from collections import Counter
from collections.abc import Iterable

from gateway.audit.entry import Actor, AuditEntry, Decision

ACTION = "authenticate"
OTHERS = "others"


class Attempts:
    """Counts at most `limit` addresses at a time; those beyond are counted as one."""

    def __init__(self, limit: int = 5_000) -> None:
        self._limit = limit
        self._counts: Counter[tuple[str, str]] = Counter()

    def add(self, address: str, reason: str) -> None:
        told = (address, reason)
        if told not in self._counts and len(self._counts) >= self._limit:
            told = (OTHERS, reason)
        self._counts[told] += 1

    def take(self) -> Iterable[AuditEntry]:
        """What was counted since the last time."""
        counts, self._counts = self._counts, Counter()
        return [
            AuditEntry(ACTION, Decision.REFUSED, Actor(address=address), reason=reason, count=count)
            for (address, reason), count in counts.items()
        ]
