"""The classifier of the guards: the rules decide where one matches, the model where none does."""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from contextvars import Context
from typing import Protocol

from gateway.guard.classifier import Unjudged
from gateway.guard.injection import metrics
from gateway.guard.injection.rules import Rules
from services.runtime.errors import DomainError

BATCH = 64
# A batch has no more characters than about this, so that what waits behind it need not wait long.
BATCH_CHARACTERS = 64 * 1024
THREAD_FROM = 16 * 1024


class Model(Protocol):
    """Scores texts, 0 to 1 each. Raises DomainErrors."""

    async def scores(self, texts: Sequence[str]) -> list[float]: ...


class InjectionClassifier:
    """Asks the model once for texts that come at the same time, and never twice for one that it remembers.

    `seconds`: how long a call waits. `cached`: scores remembered; `waiting`: most texts that wait for the model.
    """

    def __init__(
        self, model: Model, rules: Rules, *, seconds: float = 1.0, cached: int = 16_384, waiting: int = 1024
    ) -> None:
        self._model = model
        self._rules = rules
        self._seconds = seconds
        self._cached = cached
        self._limit = waiting
        self._scores: OrderedDict[bytes, float] = OrderedDict()
        self._asked: dict[bytes, asyncio.Future[float]] = {}
        self._queue: dict[bytes, str] = {}
        self._task: asyncio.Task[None] | None = None

    async def scores(self, texts: Sequence[str]) -> list[float]:
        """0 to 1 for each text: a rule's score at least, where one matches. The model is not asked about what a rule is
        sure of. Raises Unjudged, with what the rules alone say, where the model does not answer in time."""
        ruled = await self._by_rules(texts)
        open_texts = ["" if rule >= 1 else text for text, rule in zip(texts, ruled, strict=True)]
        try:
            async with asyncio.timeout(self._seconds):
                judged = await self._judged(open_texts)
        except (TimeoutError, DomainError) as error:
            metrics.UNJUDGED.inc(len(texts))
            raise Unjudged(ruled) from error
        return [max(own, rule) for own, rule in zip(judged, ruled, strict=True)]

    async def aclose(self) -> None:
        """Leave the model alone; whoever still waits gets an error."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _by_rules(self, texts: Sequence[str]) -> list[float]:
        if sum(map(len, texts)) > THREAD_FROM:
            return await asyncio.to_thread(lambda: [self._rules.score(text) for text in texts])
        return [self._rules.score(text) for text in texts]

    async def _judged(self, texts: Sequence[str]) -> list[float]:
        waiting = [self._ask(text) for text in texts]
        return [score if isinstance(score, float) else await asyncio.shield(score) for score in waiting]

    def _ask(self, text: str) -> "float | asyncio.Future[float]":
        """The score where it is known, else a promise of it."""
        if not text or text.isspace():
            return 0.0
        key = hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=16).digest()
        if (known := self._scores.get(key)) is not None:
            self._scores.move_to_end(key)
            metrics.CACHED.inc()
            return known
        if (asked := self._asked.get(key)) is not None:
            return asked
        if len(self._asked) >= self._limit:
            raise Unjudged([])
        promise: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        promise.add_done_callback(_hear)
        self._asked[key], self._queue[key] = promise, text
        if self._task is None or self._task.done():
            # In a context of its own: it serves many calls.
            self._task = asyncio.get_running_loop().create_task(self._serve(), context=Context())
        return promise

    async def _serve(self) -> None:
        """Ask the model until nothing waits. What comes while it computes is the next batch."""
        try:
            while self._queue:
                batch = self._next()
                try:
                    scores = await self._model.scores(list(batch.values()))
                except DomainError as error:
                    for key in batch:
                        self._asked.pop(key).set_exception(error)
                else:
                    metrics.BATCH.observe(len(batch))
                    for key, score in zip(batch, scores, strict=True):
                        self._remember(key, score)
                        self._asked.pop(key).set_result(score)
        finally:
            self._queue.clear()
            left, self._asked = self._asked, {}
            for promise in left.values():
                promise.set_exception(Unjudged([]))

    def _next(self) -> dict[bytes, str]:
        batch: dict[bytes, str] = {}
        characters = 0
        for key, text in self._queue.items():
            if batch and (len(batch) == BATCH or characters + len(text) > BATCH_CHARACTERS):
                break
            batch[key] = text
            characters += len(text)
        for key in batch:
            del self._queue[key]
        return batch

    def _remember(self, key: bytes, score: float) -> None:
        self._scores[key] = score
        if len(self._scores) > self._cached:
            self._scores.popitem(last=False)


def _hear(promise: "asyncio.Future[float]") -> None:
    """A promise that nobody waits for any more may fail."""
    if not promise.cancelled():
        promise.exception()
