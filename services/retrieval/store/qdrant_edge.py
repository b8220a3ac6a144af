"""Qdrant's engine in this process: one shard folder for each collection. The only module that knows `qdrant_edge`.

Its calls release the GIL and may run side by side, so they go to a small pool of threads. An update is in the shard's
write-ahead log when the call returns; `flush` shortens what the next start replays.

A collection that the engine cannot open, or whose opening ended the process twice, is set aside: it answers
CollectionBroken until it is deleted, or the service is started anew. The others go on.

Only `optimize`, which builds the HNSW index, keeps the GIL, for a minute where there is much. So a process of its own,
python -m services.retrieval.store.qdrant_edge FOLDER, does that to a copy, which takes the shard's place unless there
was a write meanwhile. Until then the vectors that are not indexed are compared one by one.
"""

import asyncio
import logging
import os
import shutil
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import qdrant_edge as edge

from services.retrieval import metrics
from services.retrieval.errors import CollectionBroken, StoreFull
from services.retrieval.model import WIDTH, Candidates, CollectionKey, Signal, Sparse, StoreQuery
from services.retrieval.store import codec
from services.retrieval.store.engine import About, Amend, Found, Operation, Point, Remove, Upsert, Where
from services.retrieval.store.faults import fault, is_failure
from services.retrieval.store.folders import Folders, Marked
from services.retrieval.store.space import Space
from services.runtime.children import DiedAtStart, once_more
from services.runtime.copy_lock import begin_writing
from services.runtime.errors import DomainError

log = logging.getLogger(__name__)

T = TypeVar("T")

PAGE = 4096
# Of a shard, beside the thread that asks: with two, a query of a small collection took twice the processor's time, and
# on busy cores several times as long, for handing its parts to and fro.
SEARCH_THREADS = 1
INDEX_FROM = 20_000
QUICK_POINTS = 5_000
GROWTH = 1.3
DEADLY = 2
POLL_SECONDS = 0.5
HNSW = edge.HnswIndexConfig(m=16, ef_construct=100, full_scan_threshold=10_000)


@dataclass(slots=True)
class _Open:
    """A shard that is loaded. The engine can close it only while nobody uses it."""

    shard: edge.EdgeShard
    marked: Marked
    users: int = 0
    writes: int = 0
    writing: int = 0
    points: int = 0

    @property
    def quick(self) -> bool:
        """Whether reading a few points takes less than handing the work to a thread: little to search, no lock held."""
        return self.points < QUICK_POINTS and not self.writing

    free: asyncio.Event = field(default_factory=asyncio.Event)


class EdgeEngine:
    """A VectorEngine under one folder, which it owns alone until `aclose`. Raises StoreLocked where another owns it.

    A collection of `index_from` points or more is indexed after an ingestion. With less than `min_free` bytes left on
    the disk nothing is written but deletions.
    """

    def __init__(self, root: Path, threads: int, index_from: int = INDEX_FROM, min_free: int = 0) -> None:
        self._index_from = index_from
        self._folders = Folders(root)
        self._space = Space(root, min_free)
        metrics.FULL.set_function(lambda: float(self._folders.owned and self._space.short))
        self._shards: dict[CollectionKey, _Open] = {}
        self._broken: dict[CollectionKey, str] = {}
        self._opening = asyncio.Lock()
        self._resting: dict[CollectionKey, asyncio.Task[None]] = {}
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="store")

    async def create(self, key: CollectionKey, about: About) -> None:
        async with self._opening:
            self._shards[key] = await self._run(lambda: self._create(key, about))

    async def about(self, key: CollectionKey) -> About:
        return (await self._open(key)).marked.about

    async def names(self, tenant: str) -> Sequence[str]:
        return self._folders.names(tenant)

    def owned(self) -> Sequence[CollectionKey]:
        """All collections: nobody else can write to them."""
        return self._folders.keys()

    async def drop(self, key: CollectionKey) -> None:
        async with self._writing(key) as hold, self._opening:
            await self._run(lambda: self._folders.unmark(key), hold=hold)
            await self._stop_resting(key)
            with suppress(DomainError):
                await self._close(key, hold)
            await self._run(lambda: self._folders.remove(key))
            if self._broken.pop(key, None):
                metrics.BROKEN.remove(key.tenant, key.collection)

    async def apply(self, key: CollectionKey, operations: Sequence[Operation]) -> None:
        updates = [update for operation in operations for update in _updates(operation)]
        opened = await self._open(key)
        opened.writes += 1
        opened.writing += 1
        opened.points += sum(len(each.points) for each in operations if isinstance(each, Upsert))
        grows = any(_grows(operation) for operation in operations)
        try:
            await self._call(key, lambda shard: self._apply(shard, updates, grows), writes=True)
        finally:
            opened.writing -= 1

    async def retrieve(self, key: CollectionKey, ids: Sequence[str], without: Sequence[str] = ()) -> Found:
        selected = edge.PayloadSelector.Exclude(list(without)) if without else True
        found = await self._read(key, lambda shard: shard.retrieve(list(ids), selected, False))
        return [(str(record.id), record.payload or {}) for record in found]

    async def scroll(
        self, key: CollectionKey, where: Where, only: Sequence[str] = (), without: Sequence[str] = ()
    ) -> Found:
        selected: Any = edge.PayloadSelector.Exclude(list(without)) if without else (list(only) or True)
        return await self._call(key, lambda shard: _scroll(shard, _filter(where), selected))

    async def count(self, key: CollectionKey, where: Where) -> int:
        request = edge.CountRequest(filter=_filter(where))
        return await self._call(key, lambda shard: shard.count(request))

    async def query(self, key: CollectionKey, probe: StoreQuery) -> Candidates:
        signals, requests = _requests(probe)
        if not requests:
            return Candidates({})
        batch = edge.QueryBatchRequest(requests)
        answers = await self._read(key, lambda shard: shard.query_batch(batch))
        scored = [[(str(point.id), point.score) for point in answer] for answer in answers]
        found = dict(zip(signals, scored, strict=False))
        also = {signal: dict(scores) for signal, scores in zip(signals, scored[len(signals) :], strict=False)}
        return Candidates(found, also)

    async def rest(self, key: CollectionKey) -> None:
        if key in self._resting or key not in self._shards:
            return
        task = asyncio.create_task(self._rest(key))
        self._resting[key] = task
        task.add_done_callback(lambda _: self._resting.pop(key, None))

    async def ready(self) -> bool:
        return self._folders.owned

    async def aclose(self) -> None:
        for key in tuple(self._resting):
            await self._stop_resting(key)
        for key in tuple(self._shards):
            with suppress(DomainError):
                async with self._writing(key) as hold:
                    await self._close(key, hold)
        self._pool.shutdown()
        self._folders.release()

    async def _rest(self, key: CollectionKey) -> None:
        try:
            await self._call(key, lambda shard: shard.flush(), writes=True)
            opened = await self._open(key)
            points = await self._call(key, lambda shard: shard.info().points_count)
            if points >= max(self._index_from, GROWTH * opened.marked.indexed):
                await self._reindex(key, opened, points)
        except DomainError as error:
            why = {"collection": key.collection, "reason": error.reason, "error": error.message}
            log.warning("indexes could not be brought up to date", extra=why)

    async def _reindex(self, key: CollectionKey, opened: _Open, points: int) -> None:
        """Put an indexed copy in the shard's place, unless somebody writes to the shard before it is there."""
        writes = opened.writes
        old = opened.marked

        def still() -> bool:
            return self._shards.get(key) is opened and opened.writes == writes and not opened.writing

        spare = await self._run(lambda: self._copy(old.folder))
        try:
            if not await _optimized(spare, still):
                return
            fresh = _Open(await self._run(lambda: _load(spare)), Marked(old.about, spare, points), points=points)
            async with self._writing(key):
                if still():
                    self._folders.mark(key, fresh.marked)
                    self._shards[key], fresh = fresh, opened
            while fresh.users:
                fresh.free.clear()
                await fresh.free.wait()
            await self._run(fresh.shard.close)
        finally:
            current = self._shards.get(key)
            unused = old.folder if current and current.marked.folder == spare else spare
            await self._run(lambda: shutil.rmtree(unused, ignore_errors=True))

    async def _stop_resting(self, key: CollectionKey) -> None:
        resting = self._resting.pop(key, None)
        if resting:
            resting.cancel()
            await asyncio.gather(resting, return_exceptions=True)

    async def _open(self, key: CollectionKey) -> _Open:
        opened = self._shards.get(key)
        if opened is not None:
            return opened
        async with self._writing(key) as hold, self._opening:
            if key not in self._shards:
                if key in self._broken:
                    raise CollectionBroken(key.collection, self._broken[key])
                try:
                    self._shards[key] = await self._run(lambda: self._load(key), key.collection, hold)
                except CollectionBroken as error:
                    self._set_aside(key, error)
                    raise
            return self._shards[key]

    def _set_aside(self, key: CollectionKey, error: CollectionBroken) -> None:
        self._broken[key] = error.why
        metrics.BROKEN.labels(key.tenant, key.collection).set(1)
        where = {"tenant": key.tenant, "collection": key.collection, "folder": str(self._folders.folder(key))}
        log.error("a collection is broken: it is set aside, the others go on", extra={**where, "why": error.why})

    def _create(self, key: CollectionKey, about: About) -> _Open:
        self._space.check()
        folder = self._folders.make(key)
        try:
            shard = _create(folder)
            marked = Marked(about, folder, 0)
            self._folders.mark(key, marked)
        except BaseException:
            self._folders.remove(key)
            raise
        return _Open(shard, marked)

    def _load(self, key: CollectionKey) -> _Open:
        """Open the shard and look whether it answers. What that does to the process is noted before and after."""
        marked = self._folders.find(key)
        self._space.check_opening()
        deaths = self._folders.openings(key)
        if deaths >= DEADLY:
            raise CollectionBroken(key.collection, f"opening it ended the service {deaths} times")
        if deaths and self._space.short:
            raise StoreFull(
                f"opening the collection {key.collection!r} ended the service while its disk was nearly full"
            )
        self._folders.begin_opening(key)
        try:
            shard = _load(marked.folder)
            _probe(shard)
        finally:
            self._folders.end_opening(key)
        return _Open(shard, marked, points=shard.info().points_count)

    def _apply(self, shard: edge.EdgeShard, updates: Sequence[edge.UpdateOperation], grows: bool) -> None:
        if grows:
            self._space.check()
        for update in updates:
            shard.update(update)

    def _copy(self, shard: Path) -> Path:
        """A copy to index, where there is space for it and its index."""
        size = sum(path.stat().st_size for path in shard.rglob("*") if path.is_file())
        self._space.check(2 * size)
        return self._folders.copy(shard)

    async def _close(self, key: CollectionKey, hold: int | None) -> None:
        """Let nobody begin, wait for those who have begun, close."""
        opened = self._shards.pop(key, None)
        if opened is None:
            return
        while opened.users:
            opened.free.clear()
            await opened.free.wait()
        await self._run(opened.shard.close, hold=hold)

    @asynccontextmanager
    async def _writing(self, key: CollectionKey) -> AsyncIterator[int | None]:
        """Wait while another process copies the collection; none does within, nor while a duplicate of the descriptor
        is open. None where there is no folder to copy. It is not entered twice by one task, nor with `_opening` held:
        who copies waits for the first, and the second for who copies."""
        try:
            hold = await begin_writing(self._folders.folder(key))
        except OSError:
            yield None
            return
        try:
            yield hold
        finally:
            os.close(hold)

    async def _read(self, key: CollectionKey, work: Callable[[edge.EdgeShard], T]) -> T:
        opened = await self._open(key)
        if not opened.quick:
            return await self._call(key, work)
        return _guarded(lambda: work(opened.shard), key.collection)

    async def _call(self, key: CollectionKey, work: Callable[[edge.EdgeShard], T], writes: bool = False) -> T:
        while True:
            opened = await self._open(key)
            if not writes:
                return await self._use(opened, work, key.collection)
            async with self._writing(key) as hold:
                if self._shards.get(key) is opened:
                    return await self._use(opened, work, key.collection, hold)

    async def _use(
        self, opened: _Open, work: Callable[[edge.EdgeShard], T], collection: str, hold: int | None = None
    ) -> T:
        opened.users += 1
        running = self._submit(lambda: work(opened.shard), collection, hold)
        running.add_done_callback(lambda _: _leave(opened))
        return await asyncio.shield(running)

    async def _run(self, work: Callable[[], T], collection: str = "", hold: int | None = None) -> T:
        return await self._submit(work, collection, hold)

    def _submit(self, work: Callable[[], T], collection: str, hold: int | None) -> "asyncio.Future[T]":
        """Work in a thread, with a duplicate of `hold` for as long as it takes: its caller may leave before."""
        running = self._pool.submit(_guarded, work, collection)
        if hold is not None:
            held = os.dup(hold)
            running.add_done_callback(lambda _: os.close(held))
        return asyncio.wrap_future(running)


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


def _leave(opened: _Open) -> None:
    opened.users -= 1
    opened.free.set()


async def _optimized(folder: Path, still: Callable[[], bool]) -> bool:
    """Index the shard in `folder` in another process; False where it fails, or is no longer wanted."""
    try:
        return await once_more(lambda: _optimize_once(folder, still))
    except DiedAtStart as error:
        log.warning("a collection is not indexed: %s", error)
        return False


async def _optimize_once(folder: Path, still: Callable[[], bool]) -> bool:
    """Raises DiedAtStart where the process is ended by a signal that is not ours; the folder is nobody else's yet."""
    child = await asyncio.create_subprocess_exec(sys.executable, "-m", __spec__.name, str(folder))
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


def _config() -> edge.EdgeConfig:
    return edge.EdgeConfig(
        vectors={codec.DENSE: edge.EdgeVectorParams(WIDTH, edge.Distance.Cosine)},
        sparse_vectors={codec.LEXICAL: edge.EdgeSparseVectorParams(modifier=edge.Modifier.Idf)},
        hnsw_config=HNSW,
        max_search_threads=SEARCH_THREADS,
    )


def _load(folder: Path) -> edge.EdgeShard:
    """The shard, whatever number of threads it was made with."""
    return edge.EdgeShard.load(str(folder), _config())


def _create(folder: Path) -> edge.EdgeShard:
    shard = edge.EdgeShard.create(str(folder), _config())
    for name in codec.INDEXED:
        shard.update(edge.UpdateOperation.create_field_index(name, edge.PayloadSchemaType.Keyword))
    return shard


def _probe(shard: edge.EdgeShard) -> None:
    """Read a little of everything that a shard is asked for. Raises what the engine does where it cannot."""
    records, _ = shard.scroll(edge.ScrollRequest(limit=16, with_payload=True, with_vector=False))
    if not all(record.payload for record in records):
        raise ValueError("points have lost their payload")
    nearest = (
        edge.Query.Nearest([1.0] * WIDTH, using=codec.DENSE),
        edge.Query.Nearest(edge.SparseVector([0], [1.0]), using=codec.LEXICAL),
    )
    shard.query_batch(edge.QueryBatchRequest([edge.QueryRequest(1, query=query) for query in nearest]))


def _grows(operation: Operation) -> bool:
    """Whether it needs space. Notes without vectors are as small as deletions, which go with them."""
    match operation:
        case Upsert(points):
            return any(point.dense is not None for point in points)
        case Amend():
            return True
    return False


def _updates(operation: Operation) -> list[edge.UpdateOperation]:
    match operation:
        case Upsert(points):
            return [edge.UpdateOperation.upsert_points([_point(point) for point in points])]
        case Remove(ids, where):
            by_id = [edge.UpdateOperation.delete_points(list(ids))] if ids else []
            by_filter = [edge.UpdateOperation.delete_points_by_filter(_filter(where))] if where else []
            return by_id + by_filter
        case Amend(payload, ids, where):
            by_id = [edge.UpdateOperation.set_payload(list(ids), payload)] if ids else []
            by_filter = [edge.UpdateOperation.set_payload_by_filter(_filter(where), payload)] if where else []
            return by_id + by_filter


def _point(point: Point) -> edge.Point:
    vectors: Any = {}
    if point.dense is not None:
        vectors[codec.DENSE] = point.dense.tolist()
    if point.lexical is not None and point.lexical.indices:
        vectors[codec.LEXICAL] = _sparse(point.lexical)
    return edge.Point(point.id, vectors, point.payload)


def _sparse(vector: Sparse) -> edge.SparseVector:
    return edge.SparseVector(vector.indices, vector.values)


def _filter(where: Where) -> edge.Filter:
    return edge.Filter(must=_conditions(where.all_of), must_not=_conditions(where.none_of))


def _conditions(fields: Sequence[tuple[str, Sequence[str]]]) -> Any:
    return [edge.FieldCondition(name, match=edge.MatchAny(list(values))) for name, values in fields] or None


def _requests(probe: StoreQuery) -> tuple[list[Signal], list[edge.QueryRequest]]:
    """One query for each signal; and where there are two, one more each, to score what the other one found."""
    queries: dict[Signal, edge.Query] = {}
    if probe.dense is not None:
        queries[Signal.DENSE] = edge.Query.Nearest(probe.dense.tolist(), using=codec.DENSE)
    if probe.lexical is not None and probe.lexical.indices:
        queries[Signal.LEXICAL] = edge.Query.Nearest(_sparse(probe.lexical), using=codec.LEXICAL)
    where = _filter(codec.where_of(probe.filter)) if probe.filter.must or probe.filter.must_not else None
    requests = [
        edge.QueryRequest(probe.limit, query=query, filter=where, with_payload=False) for query in queries.values()
    ]
    if len(queries) == 2:
        dense, lexical = queries.values()
        for query, other in ((dense, lexical), (lexical, dense)):
            prefetch = edge.Prefetch(probe.limit, query=other, filter=where)
            requests.append(edge.QueryRequest(probe.limit, query=query, prefetches=[prefetch], with_payload=False))
    return list(queries), requests


def _scroll(shard: edge.EdgeShard, where: edge.Filter, selected: Any) -> list[tuple[str, dict[str, Any]]]:
    found: list[tuple[str, dict[str, Any]]] = []
    offset: Any = None
    while True:
        request = edge.ScrollRequest(offset=offset, limit=PAGE, filter=where, with_payload=selected, with_vector=False)
        records, offset = shard.scroll(request)
        found.extend((str(record.id), record.payload or {}) for record in records)
        if offset is None:
            return found


def optimize(folder: Path) -> None:
    """Index the shard in `folder`, giving way to everything else on the machine."""
    os.nice(10)
    shard = _load(folder)
    shard.optimize()
    shard.flush()
    shard.close()


if __name__ == "__main__":
    optimize(Path(sys.argv[1]))
