"""Limits of time, each with what sets it, so that whoever runs into one is told which, and how it is raised."""

from dataclasses import dataclass

from services.runtime.errors import DeadlineExceeded
from services.runtime.spelling import VARIABLES

CALLERS = (
    "the time that came with the call: its header x-headworks-timeout or its gRPC deadline, or the edge's "
    "HEADWORKS_CONTROL_REQUEST_TIMEOUT_SECONDS where an HTTP call brings none"
)


@dataclass(frozen=True, slots=True)
class TimeLimit:
    """`setting`: the environment variable that sets it, or in words what does; empty where nothing can be set."""

    seconds: float
    setting: str = ""

    @classmethod
    def of(cls, service: str, field: str, seconds: float) -> "TimeLimit":
        """The limit that a setting of a service makes."""
        return cls(seconds, f"{VARIABLES}{service}_{field}".upper())

    def passed(self, what: str) -> DeadlineExceeded:
        """What is wrong where `what` took longer."""
        message = f"{what} did not finish within {self.seconds:.4g} seconds"
        if not self.setting:
            return DeadlineExceeded(message)
        named = {"limit": self.setting, "limit_seconds": f"{self.seconds:.4g}"}
        return DeadlineExceeded(f"{message}, the limit that is set by {self.setting}", **named)
