"""Whose runs and sessions a caller sees: their own, and others' where a role allows it."""

from dataclasses import dataclass
from enum import StrEnum


class Verb(StrEnum):
    """What is to be done with another's; the words are parts of permissions."""

    READ = "read"
    WRITE = "write"


@dataclass(frozen=True, slots=True)
class Viewer:
    """A caller of a tenant. `others`: all of the tenant's are to be seen. `decides`: so are runs that wait for a
    person, who has to see what is to be approved."""

    tenant: str
    subject: str = ""
    others: bool = False
    decides: bool = False

    def sees(self, subject: str, *, waiting: bool = False) -> bool:
        """Whether what is `subject`'s is to be seen. What an earlier version kept without one is nobody's."""
        return self.others or subject == self.subject or (self.decides and waiting)
