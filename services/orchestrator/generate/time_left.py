"""How long an engine may take."""

import asyncio
from collections.abc import AsyncGenerator
from typing import TypeVar

from services.runtime.call import current_or_none
from services.runtime.errors import DeadlineExceeded, DomainError, Kind

T = TypeVar("T")


class ModelTimeout(DomainError):
    """A generation took longer than the catalogue allows."""

    kind = Kind.DEADLINE_EXCEEDED
    reason = "MODEL_TIMEOUT"

    def __init__(self, model: str, seconds: float) -> None:
        super().__init__(f"the model {model!r} did not answer within {seconds:g} seconds", model=model)


def time_left(limit: float) -> float:
    """Seconds until the deadline of the call being served, `limit` at most. Raises DeadlineExceeded where none is."""
    call = current_or_none()
    left = limit if call is None else min(limit, call.remaining)
    if left <= 0:
        raise DeadlineExceeded("the deadline passed before the model could be asked")
    return left


async def within(seconds: float, model: str, pieces: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]:
    """The pieces, for engines that know no deadlines of their own. Raises ModelTimeout. Closing `pieces` is left to
    the caller."""
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        limit = asyncio.timeout_at(deadline)
        try:
            async with limit:
                piece = await anext(pieces)
        except StopAsyncIteration:
            return
        except TimeoutError as error:
            if limit.expired():
                raise ModelTimeout(model, seconds) from error
            raise
        yield piece
