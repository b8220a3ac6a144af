"""Whom a run acts for."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Caller:
    """As agents' filters name it. `claims`: those of the issuer's token that the gateway passes on, by name; `project`
    is that of the API key. What there is none of is empty."""

    tenant: str = ""
    subject: str = ""
    project: str = ""
    claims: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def names(self) -> Mapping[str, str]:
        """Whom templates know the caller as."""
        return {"tenant": self.tenant, "subject": self.subject, "project": self.project}
