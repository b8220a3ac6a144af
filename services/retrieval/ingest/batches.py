"""Passages of many documents, embedded together."""

import asyncio
from collections.abc import Sequence

from services.retrieval.embedder import Embedder
from services.retrieval.model import Sentences, Span, Vector
from services.runtime.fairness import FairQueue, Owner

Embedded = tuple[Vector, Sentences]
_Item = tuple[str, Sequence[Span], "asyncio.Future[Embedded]"]


class Batches:
    """Gathers passages that wait into calls of at most `size`, `calls` of them open at once.

    A batch is taken as soon as a call is free, so that a lone passage does not wait for others; it has passages of all
    owners that wait, as many of each.
    """

    def __init__(self, embedder: Embedder, size: int, calls: int) -> None:
        self._embedder = embedder
        self._size = size
        self._calls = calls
        self._waiting: FairQueue[_Item] = FairQueue()
        self._running: set[asyncio.Task[None]] = set()

    async def embed(
        self, texts: Sequence[str], spans: Sequence[Sequence[Span]], owner: Owner = ("",)
    ) -> Sequence[Embedded]:
        """The passages' vectors. Raises EmbedderUnavailable."""
        loop = asyncio.get_running_loop()
        futures: list[asyncio.Future[Embedded]] = [loop.create_future() for _ in texts]
        for item in zip(texts, spans, futures, strict=True):
            self._waiting.push(owner, item)
        self._start()
        try:
            return await asyncio.gather(*futures)
        finally:
            for future in futures:
                future.cancel()

    async def aclose(self) -> None:
        """Stop; whoever waits is cancelled."""
        running = tuple(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        while self._waiting:
            self._waiting.pop()[2].cancel()

    def _start(self) -> None:
        while self._waiting and len(self._running) < self._calls:
            task = asyncio.create_task(self._work())
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def _work(self) -> None:
        await asyncio.sleep(0)  # let others that are about to wait come along
        while batch := self._take():
            futures = [future for _, _, future in batch]
            try:
                found = await self._embedder.embed_passages(
                    [text for text, _, _ in batch], [spans for _, spans, _ in batch]
                )
            except asyncio.CancelledError:
                for future in futures:
                    future.cancel()
                raise
            except Exception as error:  # noqa: BLE001 (it belongs to those who wait)
                for future in futures:
                    if not future.done():
                        future.set_exception(error)
            else:
                for future, embedded in zip(futures, found, strict=True):
                    if not future.done():
                        future.set_result(embedded)

    def _take(self) -> list[_Item]:
        """The next batch, without those that nobody waits for any more."""
        batch: list[_Item] = []
        while self._waiting and len(batch) < self._size:
            item = self._waiting.pop()
            if not item[2].done():
                batch.append(item)
        return batch
