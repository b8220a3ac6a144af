"""A model that a search can do without: it is left alone while it does not answer."""

import logging
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from services.retrieval.errors import (
    EmbedderNotServed,
    EmbedderTimeout,
    EmbedderUnavailable,
    RerankerTimeout,
    RerankerUnavailable,
)
from services.runtime.breaker import Breaker
from services.runtime.errors import DeadlineExceeded
from services.runtime.reranker import RerankerNotServed

log = logging.getLogger(__name__)

T = TypeVar("T")

GONE = (
    EmbedderUnavailable, EmbedderNotServed, EmbedderTimeout, RerankerUnavailable, RerankerNotServed, RerankerTimeout
)  # fmt: skip


class Optional(Generic[T]):
    """Calls a model behind a breaker. `what` it is, as in "the embedder"; `without`: what searches do without it."""

    def __init__(self, what: str, name: str, without: str, breaker: Breaker) -> None:
        self._what = what
        self._name = name
        self._without = without
        self._breaker = breaker

    @property
    def gone(self) -> bool:
        """Whether it is taken to be gone."""
        return self._breaker.open

    async def result_or_none(self, call: Callable[[], Awaitable[T]]) -> T | None:
        """The call's result; None while the model does not answer, at once once that is known."""
        tried = self._breaker.open
        if not self._breaker.admits():
            return None
        try:
            result = await call()
        except GONE as error:
            # Those that were under way when it went fail together, and count once.
            if tried or not self._breaker.open:
                self._breaker.failed()
                why = {"model": self._name, "reason": error.reason, "error": error.message}
                log.warning("%s is gone: %s", self._what, self._without, extra=why)
            return None
        except DeadlineExceeded:
            return None  # its caller was in a hurry, which says nothing of the model to others
        if self._breaker.open:
            log.info("%s is back", self._what)
        self._breaker.succeeded()
        return result
