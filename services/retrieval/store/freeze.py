"""Many write to a collection side by side, until one freezes it for a moment."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.retrieval.model import CollectionKey


class Freezes:
    """Of collections, within this process. Who freezes one waits for those who write; who comes then waits for the
    thaw."""

    def __init__(self) -> None:
        self._writing: Counter[CollectionKey] = Counter()
        self._frozen: set[CollectionKey] = set()
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def writing(self, key: CollectionKey) -> AsyncIterator[None]:
        """Nobody freezes the collection meanwhile."""
        async with self._changed:
            await self._changed.wait_for(lambda: key not in self._frozen)
            self._writing[key] += 1
        try:
            yield
        finally:
            await asyncio.shield(self._end(key))

    @asynccontextmanager
    async def frozen(self, key: CollectionKey) -> AsyncIterator[None]:
        """Nobody writes to the collection meanwhile."""
        async with self._changed:
            await self._changed.wait_for(lambda: key not in self._frozen)
            self._frozen.add(key)
        try:
            async with self._changed:
                await self._changed.wait_for(lambda: not self._writing[key])
            yield
        finally:
            await asyncio.shield(self._thaw(key))

    async def _end(self, key: CollectionKey) -> None:
        async with self._changed:
            self._writing[key] -= 1
            if not self._writing[key]:
                del self._writing[key]
            self._changed.notify_all()

    async def _thaw(self, key: CollectionKey) -> None:
        async with self._changed:
            self._frozen.discard(key)
            self._changed.notify_all()
