"""Collections that move to another embedder, in the background.

A further generation of the collection's index is filled from the one that is searched, until they differ by little.
Then nothing is written to the collection for a moment, the rest is made up for, and the new generation is searched. The
old one goes some seconds later. All that is known of a move is in the store: a process that starts again goes on with
it. Of several replicas one works at a move, by a lease.
"""

import asyncio
import logging
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from services.retrieval.embedders import Embedders
from services.retrieval.errors import MoveUnderWay
from services.retrieval.ingest.lease import leased
from services.retrieval.ingest.vectors import PassageVectors
from services.retrieval.ingest.writer import WINDOW
from services.retrieval.model import Collection, CollectionKey, Index
from services.retrieval.store.base import VectorStore
from services.runtime.errors import CollectionNotFound, DomainError, Unavailable

log = logging.getLogger(__name__)

# Documents that may be left to make up for while nothing is written, and how long that may take.
FEW = 8
FREEZE_SECONDS = 20.0
# Searches that began with the old generation end meanwhile.
GRACE_SECONDS = 5.0
AT_ONCE = 8
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0

Times = Mapping[str, datetime]


class FrozenTooLong(Unavailable):
    """The collection can be written to again; the move is tried once more."""

    reason = "FROZEN_TOO_LONG"


class Moves:
    """Begins, resumes and stops moves."""

    def __init__(self, store: VectorStore, vectors: PassageVectors, embedders: Embedders) -> None:
        self._store = store
        self._vectors = vectors
        self._embedders = embedders
        self._holder = uuid.uuid4().hex
        self._changing = asyncio.Lock()
        self._running: dict[CollectionKey, asyncio.Task[None]] = {}
        self._waiting: dict[CollectionKey, str] = {}
        self._resuming: asyncio.Task[None] | None = None

    async def start(self, key: CollectionKey, embedder: str) -> None:
        """Move the collection to that embedder; stop a move, where it is the one that it has.

        Raises CollectionNotFound, MoveUnderWay, EmbedderUnknown, EmbedderNotServed.
        """
        name = self._embedders[embedder].spec.name
        async with self._changing:
            current, under_way = await self._store.current(key), await self._store.next(key)
            if name == current.embedder:
                if under_way:
                    await self._stop(key)
                    await self._store.retire(under_way)
                return
            if under_way and under_way.embedder != name:
                raise MoveUnderWay(key.collection, under_way.embedder)
            if not under_way:
                await self._store.extend(key, await self._embedders.chosen(name))
            self._run(key)

    def resume(self) -> None:
        """Go on, in the background, with what a process before this one left."""
        self._resuming = asyncio.create_task(self._resume())

    def reported(self, key: CollectionKey, collection: Collection) -> Collection:
        """The collection with what holds its move up."""
        if collection.move is None or key not in self._waiting:
            return collection
        return replace(collection, move=replace(collection.move, waiting=self._waiting[key]))

    async def aclose(self) -> None:
        """Stop all work; nothing is lost of it."""
        tasks = [*self._running.values(), *([self._resuming] if self._resuming else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _resume(self) -> None:
        while True:
            try:
                for key in await self._store.moving():
                    self._run(key)
                return
            except DomainError as error:
                log.warning("moves are not resumed yet", extra={"reason": error.reason, "error": error.message})
                await asyncio.sleep(LONGEST_PAUSE)

    def _run(self, key: CollectionKey) -> None:
        if key not in self._running:
            self._running[key] = asyncio.create_task(self._move(key))

    async def _stop(self, key: CollectionKey) -> None:
        if task := self._running.pop(key, None):
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        self._waiting.pop(key, None)

    async def _move(self, key: CollectionKey) -> None:
        """Work at the move until it is done, or nobody wants it any more."""
        pause = FIRST_PAUSE
        while not await self._done(key):
            try:
                await self._once(key)
                self._waiting.pop(key, None)
                continue
            except DomainError as error:
                reason, self._waiting[key] = error.reason, error.message
            except Exception as error:
                reason, self._waiting[key] = type(error).__name__, "the move failed; the log says more"
                log.exception("the move of a collection to another embedder failed")
            why = {"collection": key.collection, "reason": reason, "why": self._waiting[key]}
            log.warning("the move of a collection to another embedder waits", extra=why)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _done(self, key: CollectionKey) -> bool:
        """Whether nothing is left to do, and nobody asks for more this moment."""
        async with self._changing:
            try:
                done = not await self._store.next(key) and not await self._store.retired(key)
            except CollectionNotFound:
                done = True
            except DomainError:
                return False
            if done:
                self._running.pop(key, None)
                self._waiting.pop(key, None)
            return done

    async def _once(self, key: CollectionKey) -> None:
        fresh = await self._store.next(key)
        seen: Times | None = None
        if fresh:
            async with leased(self._store, fresh, self._holder):
                old = await self._store.current(key)
                while await self._make_up(old, fresh) > FEW:
                    self._waiting.pop(key, None)
                await self._store.rest(fresh)
                seen = await self._switch(key, old, fresh)
            log.info("a collection has moved to another embedder", extra={"collection": key.collection})
        for retired in await self._store.retired(key):
            await asyncio.sleep(GRACE_SECONDS)
            if seen is not None:
                await self._make_up_late(retired, await self._store.current(key), seen)
            await self._store.retire(retired)

    async def _switch(self, key: CollectionKey, old: Index, fresh: Index) -> Times:
        """Make the new generation the one that is searched. Returns what the old one held then."""
        try:
            # The collection's own lease: no ingestion that deletes is under way.
            async with leased(self._store, old, self._holder), self._store.frozen(key):
                async with asyncio.timeout(FREEZE_SECONDS):
                    await self._make_up(old, fresh)
                    seen = await self._store.update_times(old)
                await self._store.switch(fresh)
        except TimeoutError as error:
            raise FrozenTooLong("too much was written to the collection meanwhile") from error
        return seen

    async def _make_up(self, old: Index, fresh: Index) -> int:
        """Give the new generation the documents that it lacks, and delete those that are gone; how many."""
        wanted, there = await self._store.update_times(old), await self._store.update_times(fresh)
        stale = [document_id for document_id, time in wanted.items() if there.get(document_id) != time]
        await self._copy_all(old, fresh, stale)
        gone = [document_id for document_id in there if document_id not in wanted]
        await self._delete(fresh, gone)
        return len(stale) + len(gone)

    async def _make_up_late(self, old: Index, fresh: Index, seen: Times) -> None:
        """The same for what another replica, which did not know yet, did to the old generation after `seen`."""
        late, there = await self._store.update_times(old), await self._store.update_times(fresh)
        changed = [document_id for document_id, time in late.items() if seen.get(document_id) != time]
        await self._copy_all(old, fresh, [one for one in changed if one not in there or there[one] < late[one]])
        gone = [document_id for document_id in seen if document_id not in late]
        await self._delete(fresh, [one for one in gone if there.get(one) == seen[one]])

    async def _delete(self, index: Index, document_ids: Sequence[str]) -> None:
        if document_ids:
            await self._store.delete(index, document_ids)

    async def _copy_all(self, old: Index, fresh: Index, document_ids: Iterable[str]) -> None:
        remaining = iter(document_ids)

        async def work() -> None:
            for document_id in remaining:
                await self._copy(old, fresh, document_id)

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(AT_ONCE):
                    group.create_task(work())
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from errors

    async def _copy(self, old: Index, fresh: Index, document_id: str) -> None:
        """One document with new vectors; nothing where it changes meanwhile, which the next look will see."""
        document = await self._store.document(old, document_id)
        if document is None:
            return
        passages = await self._store.passages(old, document_id)
        if len(passages) > WINDOW:
            await self._store.begin(fresh, document_id)
        for first in range(0, max(len(passages), 1), WINDOW):
            part = passages[first : first + WINDOW]
            held = await self._store.fetch(old, [passage.id for passage in part], with_sentences=True)
            sentences = [own[1] for passage in part if (own := held.get(passage.id)) and own[1]]
            if len(sentences) < len(part):
                return
            owner = (old.key.tenant, self._holder)
            entries = await self._vectors.records(fresh.embedder, part, sentences, owner)
            if first + WINDOW < len(passages):
                await self._store.write(fresh, document, entries)
            else:
                await self._store.commit(fresh, document, entries)
