"""How long an engine may take."""

from services.runtime.call import current_or_none
from services.runtime.errors import DeadlineExceeded


def time_left(limit: float) -> float:
    """Seconds until the deadline of the call being served, `limit` at most. Raises DeadlineExceeded where none is."""
    call = current_or_none()
    left = limit if call is None else min(limit, call.remaining)
    if left <= 0:
        raise DeadlineExceeded("the deadline passed before the model could be asked")
    return left
