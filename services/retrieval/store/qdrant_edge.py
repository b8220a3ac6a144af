"""Qdrant's engine in this process: one shard folder for each collection. What a shard does is in edge_shard.

Work on shards goes to a small pool of threads.

An open shard costs a thread, a file and sixty mappings, of which the system allows a process 65,530: so only so many
are open at once.

A collection that the engine cannot open, or whose opening ended the process twice, is set aside: it answers
CollectionBroken until it is deleted, or the service is started anew. The others go on. They are opened one after the
other, so that it is known which one ended the process.

The HNSW index is built in a copy of a shard, by another process. The copy takes the shard's place unless there was a
write meanwhile.
"""

import asyncio
import logging
import os
import shutil
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from services.retrieval import metrics
from services.retrieval.errors import CollectionBroken, CollectionExists, StoreFull
from services.retrieval.model import Candidates, CollectionKey, StoreQuery
from services.retrieval.store import edge_shard
from services.retrieval.store.edge_shard import Shard, closed_on_error
from services.retrieval.store.engine import (
    About,
    Amend,
    Found,
    Operation,
    Upsert,
    Where,
)
from services.retrieval.store.faults import fault, is_failure
from services.retrieval.store.folders import Folders, Marked, MarkedShard
from services.retrieval.store.handles import Handle, HandleCache
from services.retrieval.store.space import Space
from services.runtime.children import DiedAtStart, once_more
from services.runtime.copy_lock import begin_writing
from services.runtime.errors import CollectionNotFound, DomainError

log = logging.getLogger(__name__)

T = TypeVar("T")

INDEX_FROM = 20_000
QUICK_POINTS = 5_000
GROWTH = 1.3
DEADLY = 2
POLL_SECONDS = 0.5
MOST_OPEN = 64
IDLE_SECONDS = 600.0
MOST_COUNTS = 256


@dataclass(slots=True)
class _Open:
    """A shard that is loaded."""

    key: CollectionKey
    shard: Shard
    marked: MarkedShard
    writes: int = 0
    writing: int = 0
    points: int = 0

    @property
    def quick(self) -> bool:
        """Whether reading a few points takes less than handing the work to a thread: little to search, no lock held."""
        return self.points < QUICK_POINTS and not self.writing


class EdgeEngine:
    """A VectorEngine under one folder, which it owns alone until `aclose`. Raises StoreLocked where another owns it.

    A collection of `index_from` points or more is indexed after an ingestion. With less than `min_free` bytes left on
    the disk nothing is written but deletions. At most `most_open` collections are open at once, and one more while an
    index takes its place; each is closed after `idle_seconds` without a call.
    """

    def __init__(
        self, root: Path, threads: int, index_from: int = INDEX_FROM, min_free: int = 0, most_open: int = MOST_OPEN,
        idle_seconds: float = IDLE_SECONDS,
    ) -> None:  # fmt: skip
        self._index_from = index_from
        self._folders = Folders(root)
        self._space = Space(root, min_free)
        self._shards = HandleCache[CollectionKey, _Open](
            self._open_shard, self._close_shard, most_open, idle_seconds,
            around=lambda key: self._writing(self._folders.folder(key)),
        )  # fmt: skip
        metrics.FULL.set_function(lambda: float(self._folders.owned and self._space.short))
        metrics.OPEN.set_function(lambda: float(len(self._shards)))
        self._marked: dict[CollectionKey, Marked] = {}
        self._broken: dict[CollectionKey, str] = {}
        self._counts: dict[CollectionKey, dict[Hashable, int]] = {}
        self._changing = asyncio.Lock()
        self._indexing = asyncio.Lock()
        self._resting: dict[CollectionKey, asyncio.Task[None]] = {}
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="store")

    async def create(self, key: CollectionKey, about: About) -> None:
        await _to_its_end(self._create(key, about))

    async def about(self, key: CollectionKey) -> About:
        return (await self._on_record(key)).about

    async def extend(self, key: CollectionKey, embedder: str) -> About:
        await _to_its_end(self._extend(key, embedder))
        return await self.about(key)

    async def switch(self, key: CollectionKey) -> None:
        async with self._changing, self._writing(self._folders.folder(key)):
            marked = await self._on_record(key)
            if key.generation not in marked.shards:
                raise CollectionNotFound(key.collection)
            self._mark(key, replace(marked, about=replace(marked.about, generation=key.generation)))

    async def retire(self, key: CollectionKey) -> None:
        await _to_its_end(self._retire(key))

    async def moving(self) -> Sequence[CollectionKey]:
        marked = await self._run(self._folders.all_marked)
        return [key for key, each in marked.items() if each and len(each.about.embedders) > 1]

    async def names(self, tenant: str) -> Sequence[str]:
        return self._folders.names(tenant)

    async def owned(self) -> Sequence[CollectionKey]:
        """All collections: nobody else can write to them."""
        marked = await self._run(self._folders.all_marked)
        return [key.at(generation) for key, each in marked.items() for generation in (each.shards if each else (0,))]

    async def drop(self, key: CollectionKey) -> None:
        await _to_its_end(self._drop(key))

    async def apply(self, key: CollectionKey, operations: Sequence[Operation]) -> None:
        grows = any(_grows(operation) for operation in operations)
        handle = await self._shards.acquire(key)
        opened = handle.resource
        opened.writes += 1
        opened.writing += 1
        opened.points += sum(len(each.points) for each in operations if isinstance(each, Upsert))

        def done() -> None:
            opened.writing -= 1
            self._counts.pop(key, None)

        await self._write(key, handle, lambda shard: self._apply(shard, operations, grows), done)

    async def retrieve(self, key: CollectionKey, ids: Sequence[str], without: Sequence[str] = ()) -> Found:
        return await self._read(key, lambda shard: shard.retrieve(ids, without))

    async def scroll(
        self, key: CollectionKey, where: Where, only: Sequence[str] = (), without: Sequence[str] = ()
    ) -> Found:
        return await self._call(key, lambda shard: shard.scroll(where, only, without))

    async def count(self, key: CollectionKey, where: Where) -> int:
        """Remembered until the next write, so that a list of many collections does not open them all each time."""
        asked = where.key
        known = self._counts.get(key, {}).get(asked)
        if known is not None:
            return known
        handle = await self._shards.acquire(key)
        opened, writes = handle.resource, handle.resource.writes
        count = await self._work(key, handle, lambda shard: shard.count(where))
        if self._shards.get(key) is opened and opened.writes == writes and not opened.writing:
            counts = self._counts.setdefault(key, {})
            if len(counts) >= MOST_COUNTS:
                counts.clear()
            counts[asked] = count
        return count

    async def query(self, key: CollectionKey, probe: StoreQuery) -> Candidates:
        return await self._read(key, lambda shard: shard.query(probe))

    async def rest(self, key: CollectionKey) -> None:
        if key in self._resting:
            return
        task = asyncio.create_task(self._rest(key))
        self._resting[key] = task
        task.add_done_callback(lambda _: self._resting.pop(key, None))

    async def ready(self) -> bool:
        return self._folders.owned

    async def aclose(self) -> None:
        for key in tuple(self._resting):
            await self._stop_resting(key)
        async with self._changing:
            await self._shards.aclose()
        self._pool.shutdown()
        self._folders.release()

    async def _rest(self, key: CollectionKey) -> None:
        try:
            await self._write(key, await self._shards.acquire(key), lambda shard: shard.flush())
            async with self._indexing:  # one at a time: it takes a core, and holds a collection open for long
                await self._index(key)
        except CollectionNotFound:
            return
        except DomainError as error:
            why = {"collection": key.collection, "reason": error.reason, "error": error.message}
            log.warning("indexes could not be brought up to date", extra=why)

    async def _index(self, key: CollectionKey) -> None:
        """Put an indexed copy in the shard's place, if it is due, unless somebody writes to the shard meanwhile."""
        with ExitStack() as use:
            handle = await self._shards.acquire(key)
            use.callback(self._shards.release, handle)
            opened = handle.resource
            points = await self._call(key, lambda shard: shard.points)
            if points < max(self._index_from, GROWTH * opened.marked.indexed):
                return
            writes, old = opened.writes, opened.marked

            def still() -> bool:
                return self._shards.get(key) is opened and opened.writes == writes and not opened.writing

            unused = spare = await self._run(lambda: self._copy(old.folder))
            try:
                if not await _optimized(spare, still):
                    return
                with closed_on_error(await self._run(lambda: Shard.load(spare))) as shard:
                    async with self._writing(self._folders.folder(key)):
                        if not still():
                            await self._run(shard.close)
                            return
                        marked = self._marked[key.whole].with_shard(key.generation, spare, points)
                        self._mark(key, marked)
                        fresh = _Open(key, shard, marked.shards[key.generation], points=points)
                        closed, unused = self._shards.replace(key, fresh), old.folder
                use.close()
                await asyncio.shield(closed)
            finally:
                await self._run(lambda: shutil.rmtree(unused, ignore_errors=True))

    async def _stop_resting(self, key: CollectionKey) -> None:
        resting = self._resting.pop(key, None)
        if resting:
            resting.cancel()
            await asyncio.gather(resting, return_exceptions=True)

    async def _create(self, key: CollectionKey, about: About) -> None:
        async with self._changing:
            while not await self._shards.add(key, lambda _: self._run(lambda: self._make(key, about))):
                try:  # somebody asks for it this moment
                    self._shards.release(await self._shards.acquire(key))
                except CollectionNotFound:
                    continue
                except DomainError:
                    pass
                raise CollectionExists(key.collection)

    async def _extend(self, key: CollectionKey, embedder: str) -> None:
        async with self._changing, self._writing(self._folders.folder(key)):
            about = (await self._on_record(key)).about.with_generation(embedder)
            fresh = key.at(max(about.embedders))
            shard = await self._run(lambda: self._make_generation(fresh))
            try:
                marked = replace(self._marked[key.whole], about=about)
                self._mark(key, marked.with_shard(fresh.generation, shard, 0))
            except BaseException:
                self._folders.remove_generation(fresh)
                raise

    async def _retire(self, key: CollectionKey) -> None:
        async with self._changing:
            async with self._writing(self._folders.folder(key)):
                marked = await self._on_record(key)
                if key.generation not in marked.shards or key.generation == marked.about.generation:
                    raise CollectionNotFound(key.collection)
                shards = {number: shard for number, shard in marked.shards.items() if number != key.generation}
                self._mark(key, Marked(marked.about.without(key.generation), shards))
            await self._let_go(key)
            async with self._writing(self._folders.folder(key)):
                await self._run(lambda: self._folders.remove_generation(key))

    async def _drop(self, key: CollectionKey) -> None:
        async with self._changing:
            async with self._writing(self._folders.folder(key)):
                await self._run(lambda: self._folders.unmark(key))
            marked = self._marked.pop(key, None)
            for generation in marked.shards if marked else (0,):
                await self._let_go(key.at(generation))
            async with self._writing(self._folders.folder(key)):
                await self._run(lambda: self._folders.remove(key))

    async def _let_go(self, key: CollectionKey) -> None:
        """Nothing of a generation that is not on record any more is used or remembered."""
        await self._stop_resting(key)
        await self._shards.discard(key)
        self._counts.pop(key, None)
        if self._broken.pop(key, None):
            with suppress(KeyError):  # another generation was broken too
                metrics.BROKEN.remove(key.tenant, key.collection)

    async def _on_record(self, key: CollectionKey) -> Marked:
        """The collection's marker, which nobody else changes."""
        marked = self._marked.get(key.whole)
        if marked is None:
            self._check_broken(key.whole)
            try:
                marked = await self._run(lambda: self._folders.find(key), key.collection)
            except CollectionBroken as error:
                self._set_aside(key.whole, error)
                raise
            marked = self._marked.setdefault(key.whole, marked)
        return marked

    def _mark(self, key: CollectionKey, marked: Marked) -> None:
        self._folders.mark(key, marked)
        self._marked[key.whole] = marked

    def _check_broken(self, key: CollectionKey) -> None:
        if key in self._broken:
            raise CollectionBroken(key.collection, self._broken[key])

    async def _open_shard(self, key: CollectionKey) -> _Open:
        marked = await self._on_record(key)
        self._check_broken(key)
        try:
            opened = await self._run(lambda: self._load(key, marked), key.collection)
        except CollectionBroken as error:
            self._set_aside(key, error)
            raise
        metrics.OPENINGS.inc()
        return opened

    async def _close_shard(self, opened: _Open) -> None:
        """Raises nothing: what was written is in the log of the shard, which the next opening replays."""
        with suppress(DomainError):
            async with self._writing(self._folders.folder(opened.key)):
                await self._run(opened.shard.close)

    @asynccontextmanager
    async def _writing(self, folder: Path) -> AsyncIterator[int | None]:
        """Wait while another process copies the collection in that folder; none does within. Within, nobody waits for
        the same collection's users, some of whom may wait for who copies, as who copies waits for those within."""
        hold = await _begin_writing(folder)
        try:
            yield hold
        finally:
            _let_copy(hold)

    def _set_aside(self, key: CollectionKey, error: CollectionBroken) -> None:
        self._broken[key] = error.why
        metrics.BROKEN.labels(key.tenant, key.collection).set(1)
        where = {"tenant": key.tenant, "collection": key.collection, "folder": str(self._folders.folder(key))}
        log.error("a collection is broken: it is set aside, the others go on", extra={**where, "why": error.why})

    def _make(self, key: CollectionKey, about: About) -> _Open:
        self._space.check()
        folder = self._folders.make(key)
        try:
            with closed_on_error(Shard.create(folder)) as shard:
                marked = Marked(about, {}).with_shard(key.generation, folder, 0)
                self._mark(key, marked)
                return _Open(key, shard, marked.shards[key.generation])
        except BaseException:
            self._folders.remove(key)
            raise

    def _make_generation(self, key: CollectionKey) -> Path:
        """The folder of an empty shard."""
        self._space.check()
        folder = self._folders.make_shard(key)
        Shard.create(folder).close()
        return folder

    def _load(self, key: CollectionKey, marked: Marked) -> _Open:
        """Open the shard and look whether it answers. What that does to the process is noted before and after."""
        at = marked.shards.get(key.generation)
        if at is None:
            raise CollectionNotFound(key.collection)
        self._folders.check_whole(key, at)
        self._space.check_opening()
        deaths = self._folders.openings(key)
        if deaths >= DEADLY:
            raise CollectionBroken(key.collection, f"opening it ended the service {deaths} times")
        if deaths and self._space.short:
            raise StoreFull(
                f"opening the collection {key.collection!r} ended the service while its disk was nearly full"
            )
        self._folders.remove_spares(key, at)
        self._folders.begin_opening(key)
        try:
            with closed_on_error(Shard.load(at.folder)) as shard:
                shard.probe()
                if not self._space.short:
                    shard.index_fields()
                return _Open(key, shard, at, points=shard.points)
        finally:
            self._folders.end_opening(key)

    def _apply(self, shard: Shard, operations: Sequence[Operation], grows: bool) -> None:
        if grows:
            self._space.check()
        shard.apply(operations)

    def _copy(self, shard: Path) -> Path:
        """A copy to index, where there is space for it and its index."""
        size = sum(path.stat().st_size for path in shard.rglob("*") if path.is_file())
        self._space.check(2 * size)
        return self._folders.copy(shard)

    async def _read(self, key: CollectionKey, work: Callable[[Shard], T]) -> T:
        opened = self._shards.get(key)
        if opened is None or not opened.quick:
            return await self._call(key, work)
        return _guarded(lambda: work(opened.shard), key.collection)

    async def _call(self, key: CollectionKey, work: Callable[[Shard], T]) -> T:
        return await self._work(key, await self._shards.acquire(key), work)

    async def _write(
        self, key: CollectionKey, handle: Handle[_Open], work: Callable[[Shard], T],
        done: Callable[[], None] = lambda: None,
    ) -> T:  # fmt: skip
        """The same of work that writes: nobody copies the collection meanwhile, though its caller may have left."""
        try:
            hold = await _begin_writing(self._folders.folder(key))
        except BaseException:
            done()
            self._shards.release(handle)
            raise

        def ended() -> None:
            _let_copy(hold)
            done()

        return await self._work(key, handle, work, ended)

    async def _work(
        self, key: CollectionKey, handle: Handle[_Open], work: Callable[[Shard], T],
        done: Callable[[], None] = lambda: None,
    ) -> T:  # fmt: skip
        """What `work` returns. The handle is released, and `done` called, when it has ended, whether or not the caller
        still waits."""
        shard = handle.resource.shard

        def ended(_: object) -> None:
            done()
            self._shards.release(handle)

        try:
            running = asyncio.get_running_loop().run_in_executor(
                self._pool, _guarded, lambda: work(shard), key.collection
            )
        except BaseException as error:
            ended(error)
            raise
        running.add_done_callback(ended)
        return await asyncio.shield(running)

    async def _run(self, work: Callable[[], T], collection: str = "") -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, _guarded, work, collection)


def _guarded(work: Callable[[], T], collection: str) -> T:
    """What `work` returns. The engine's failures become the domain's errors, panics too, which are no Exceptions."""
    try:
        return work()
    except DomainError:
        raise
    except BaseException as error:
        if is_failure(error):
            raise fault(error, collection) from error
        raise


async def _begin_writing(folder: Path) -> int | None:
    """A descriptor while which is open nobody copies the collection in that folder; None where there is nothing to
    copy."""
    try:
        return await begin_writing(folder)
    except OSError:
        return None


def _let_copy(hold: int | None) -> None:
    if hold is not None:
        os.close(hold)


async def _to_its_end(work: Coroutine[Any, Any, None]) -> None:
    """Do the work, to its end even where its caller leaves: half of it is no state to be in."""
    await asyncio.shield(asyncio.ensure_future(work))


async def _optimized(folder: Path, still: Callable[[], bool]) -> bool:
    """Index the shard in `folder` in another process; False where it fails, or is no longer wanted."""
    try:
        return await once_more(lambda: _optimize_once(folder, still))
    except DiedAtStart as error:
        log.warning("a collection is not indexed: %s", error)
        return False


async def _optimize_once(folder: Path, still: Callable[[], bool]) -> bool:
    """Raises DiedAtStart where the process is ended by a signal that is not ours; the folder is nobody else's yet."""
    child = await asyncio.create_subprocess_exec(sys.executable, "-m", edge_shard.__name__, str(folder))
    ended = asyncio.create_task(child.wait())
    try:
        while not ended.done() and still():
            await asyncio.wait([ended], timeout=POLL_SECONDS)
        if child.returncode is not None and child.returncode < 0:
            raise DiedAtStart("the process that indexes", child.returncode)
        return child.returncode == 0
    finally:
        if child.returncode is None:
            child.kill()
        await ended


def _grows(operation: Operation) -> bool:
    """Whether it needs space. Notes without vectors are as small as deletions, which go with them."""
    match operation:
        case Upsert(points):
            return any(point.dense is not None for point in points)
        case Amend():
            return True
    return False
