"""Where answers are kept: in this process, or in a Redis that gateways share."""

from collections import OrderedDict
from collections.abc import AsyncGenerator
from typing import Protocol

from gateway.cache.entry import CachedAnswer


class AnswersGone(Exception):
    """The answers cannot be reached."""


class AnswerStore(Protocol):
    """Everything may raise AnswersGone."""

    async def get(self, tenant: str, key: str) -> CachedAnswer | None: ...

    async def put(self, answer: CachedAnswer, now: float) -> None: ...

    async def delete(self, tenant: str, key: str) -> None: ...

    def all(self, tenant: str) -> AsyncGenerator[CachedAnswer, None]:
        """Of a tenant, the newest first; those that are deleted meanwhile may be among them."""
        ...

    async def aclose(self) -> None: ...


class MemoryAnswers:
    """Of this process: `most_bytes` in all, of which those go first that were not used for longest."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._answers: OrderedDict[tuple[str, str], CachedAnswer] = OrderedDict()
        self.bytes = 0

    async def get(self, tenant: str, key: str) -> CachedAnswer | None:
        found = self._answers.get((tenant, key))
        if found is not None:
            self._answers.move_to_end((tenant, key))
        return found

    async def put(self, answer: CachedAnswer, now: float) -> None:
        self._drop(answer.tenant, answer.key)
        self._answers[answer.tenant, answer.key] = answer
        self.bytes += answer.size
        while self.bytes > self._most_bytes:
            oldest = next(iter(self._answers))
            self._drop(*oldest)

    async def delete(self, tenant: str, key: str) -> None:
        self._drop(tenant, key)

    async def all(self, tenant: str) -> AsyncGenerator[CachedAnswer, None]:
        own = [answer for answer in self._answers.values() if answer.tenant == tenant]
        for answer in sorted(own, key=lambda answer: -answer.created):
            yield answer

    async def aclose(self) -> None:
        self._answers.clear()
        self.bytes = 0

    def drop_tenant(self, tenant: str) -> None:
        """Have none of a tenant."""
        for key in [key for key in self._answers if key[0] == tenant]:
            self._drop(*key)

    def _drop(self, tenant: str, key: str) -> None:
        if (gone := self._answers.pop((tenant, key), None)) is not None:
            self.bytes -= gone.size
