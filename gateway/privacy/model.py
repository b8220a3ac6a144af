"""Data subjects, and what every source of their data does."""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Protocol

# How many of each kind were erased so far.
Counts = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class DataSubject:
    """A person of the tenant, by the subject of calls; all of the tenant where it is empty."""

    tenant: str
    subject: str = ""


class DataSource(Protocol):
    """Both methods raise DomainError where a part cannot be reached; what was erased by then stays so, and the same
    call does the rest."""

    @property
    def name(self) -> str:
        """The source's name in the record of an erasure."""
        ...

    def export(self, whose: DataSubject) -> AsyncGenerator[dict[str, object], None]:
        """What is kept, an item at a time; each has a "kind"."""
        ...

    def erase(self, whose: DataSubject) -> AsyncGenerator[Counts, None]:
        """Erase it; the counts after each part, at least once."""
        ...


class ExpiringSource(Protocol):
    """A source that expires what is old."""

    async def expire(self, tenant: str, kind: str, before: float) -> int:
        """Erase what is older than `before`, in seconds since the epoch; how much it was. 0 for a kind that it does not
        keep."""
        ...
