"""Calls of Triton's models, with errors in the domain's words and a limit for those that a search waits for."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import grpc

from services.runtime.call import current_or_none
from services.runtime.errors import DeadlineExceeded, DomainError
from services.runtime.triton import UNKNOWN_MODEL

log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ModelErrors:
    """`what`: the model, as in "the embedding model". What is raised where it does not answer, where it used all of a
    search's time for it, and where it is not loaded."""

    what: str
    unavailable: Callable[[str], DomainError]
    timeout: Callable[[str], DeadlineExceeded]
    not_served: Callable[[], DomainError]


async def translated(call: Callable[[], Awaitable[T]], errors: ModelErrors) -> T:
    """The call's result. Raises DeadlineExceeded, or `unavailable` or `not_served` of the errors."""
    try:
        return await call()
    except grpc.aio.AioRpcError as error:
        if error.code() == grpc.StatusCode.DEADLINE_EXCEEDED:
            raise DeadlineExceeded(f"{errors.what} did not answer in time") from error
        if error.code() == grpc.StatusCode.CANCELLED:
            raise
        if UNKNOWN_MODEL in (error.details() or ""):
            raise errors.not_served() from error
        log.warning("%s failed", errors.what, extra={"code": error.code().name, "error": error.details()})
        raise errors.unavailable(f"{errors.what} does not answer") from error


async def within(seconds: float, call: Callable[[float], Awaitable[T]], errors: ModelErrors) -> T:
    """The result of a call that a search waits for: it gets `seconds`, and half of what remains of its deadline at
    most, for the store is to be asked too. Raises as `translated`; `timeout` of the errors where it used all the
    seconds, which the caller's own hurry is no reason for."""
    current = current_or_none()
    timeout = min(seconds, current.remaining / 2) if current else seconds
    if timeout <= 0:
        raise DeadlineExceeded(f"the deadline passed before {errors.what} was asked")
    try:
        return await translated(lambda: call(timeout), errors)
    except DeadlineExceeded as error:
        if timeout < seconds:
            raise
        raise errors.timeout(error.message) from error
