"""How long an engine may take."""

import time

from services.runtime.call import current_or_none
from services.runtime.errors import DeadlineExceeded
from services.runtime.time_limit import TimeLimit


class Deadline:
    """An end that is so many seconds away."""

    def __init__(self, seconds: float) -> None:
        self._ends = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds, never below 0."""
        return max(0.0, self._ends - time.monotonic())


TIMEOUT = "the model's `timeout` in the catalogue"


def time_left(limit: float) -> float:
    """Seconds until the deadline of the call being served, `limit` at most. Raises DeadlineExceeded where none is."""
    call = current_or_none()
    left = limit if call is None else min(limit, call.remaining)
    if left <= 0:
        raise DeadlineExceeded("the deadline passed before the model could be asked")
    return left


def late(what: str, timeout: float) -> DeadlineExceeded | None:
    """What is wrong where a model took longer than its own `timeout`; None where it was the call's deadline."""
    call = current_or_none()
    return None if call is not None and call.remaining <= 0 else TimeLimit(timeout, TIMEOUT).passed(what)
