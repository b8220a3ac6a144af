"""Many collections and few of them open: threads, files and memory stay bounded, and nothing is lost in between."""

import asyncio
import json
import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from services.retrieval.errors import CollectionExists
from services.retrieval.model import CollectionKey
from services.retrieval.store import qdrant_edge
from services.retrieval.store.engine import About, Point, Remove, Upsert, Where
from services.retrieval.store.folders import MARKER
from services.retrieval.store.points import PointStore
from services.retrieval.store.qdrant_edge import EdgeEngine
from services.runtime.errors import CollectionNotFound
from tests.fakes.serving import until

TENANT = "acme"
MOST = 6
MANY = 150
EVERYTHING = Where()
# What each open collection costs, and what the process has of its own beside them: the pool, and what is being closed.
THREADS_EACH, THREADS_BESIDE = 2, 12
FILES_EACH, FILES_BESIDE = 3, 12


def key(number: int) -> CollectionKey:
    return CollectionKey(TENANT, f"docs-{number}")


def note(number: int) -> Point:
    return Point(f"00000000-0000-0000-0000-{number:012d}", {"kind": "document", "document_id": str(number)})


def metric(name: str) -> float:
    return REGISTRY.get_sample_value(f"headworks_retrieval_{name}") or 0.0


def threads() -> int:
    return len(os.listdir("/proc/self/task"))  # noqa: PTH208 (a count)


def files() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 (a count)


def copies(pattern: Path, root: Path, count: int) -> None:
    """Collections as that one is, cheaply: its files are mostly holes."""
    for number in range(count):
        folder = root / TENANT / key(number).collection
        subprocess.run(["cp", "-r", "--sparse=always", str(pattern), str(folder)], check=True)


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[EdgeEngine]:
    engine = EdgeEngine(tmp_path, threads=2, most_open=MOST)
    yield engine
    await engine.aclose()


async def put(engine: EdgeEngine, to: CollectionKey, number: int) -> None:
    await engine.apply(to, [Upsert([note(number)])])


async def test_hundreds_have_bounded_threads_and_files_and_keep_what_was_written(tmp_path: Path) -> None:
    first = EdgeEngine(tmp_path / "pattern", threads=1)
    await first.create(CollectionKey(TENANT, "docs"), About(1200, 1.0))
    await first.aclose()
    root = tmp_path / "many"
    (root / TENANT).mkdir(parents=True)
    await asyncio.to_thread(copies, tmp_path / "pattern" / TENANT / "docs", root, MANY)
    threads_before, files_before = threads(), files()
    engine = EdgeEngine(root, threads=2, most_open=MOST)
    store = PointStore(engine)
    await store.recover()
    assert metric("open_collections") == 0
    assert len(await store.collections(TENANT)) == MANY
    most_threads = most_files = 0
    for number in range(MANY):
        await put(engine, key(number), number)
        most_threads, most_files = max(most_threads, threads()), max(most_files, files())
        assert metric("open_collections") <= MOST
    assert most_threads - threads_before <= MOST * THREADS_EACH + THREADS_BESIDE
    assert most_files - files_before <= MOST * FILES_EACH + FILES_BESIDE
    for number in range(0, MANY, 10):
        assert await engine.retrieve(key(number), [note(number).id]) == [(note(number).id, note(number).payload)]
        assert await engine.count(key(number), EVERYTHING) == 1
    await store.aclose()


async def test_first_uses_at_once_open_a_collection_once(tmp_path: Path, engine: EdgeEngine) -> None:
    await engine.create(key(0), About(1200, 1.0))
    await engine.aclose()
    again = EdgeEngine(tmp_path, threads=4)
    before = metric("collection_openings_total")
    counts = await asyncio.gather(*(again.count(key(0), EVERYTHING) for _ in range(30)))
    assert counts == [0] * 30
    assert metric("collection_openings_total") - before == 1
    await again.aclose()


async def test_a_first_caller_who_leaves_breaks_nothing(tmp_path: Path, engine: EdgeEngine) -> None:
    await engine.create(key(0), About(1200, 1.0))
    await engine.aclose()
    again = EdgeEngine(tmp_path, threads=4)
    leaving = asyncio.create_task(again.count(key(0), EVERYTHING))
    await until(lambda: list(tmp_path.rglob("opening.*")) or leaving.done())
    leaving.cancel()
    assert await again.count(key(0), EVERYTHING) == 0
    await again.aclose()


async def test_writers_to_more_collections_than_may_be_open_lose_nothing(tmp_path: Path) -> None:
    engine = EdgeEngine(tmp_path, threads=4, most_open=2)
    for number in range(5):
        await engine.create(key(number), About(1200, 1.0))

    async def write(point: int) -> None:
        await put(engine, key(point % 5), point)
        if point % 7 == 0:
            await engine.apply(key(point % 5), [Remove(ids=[note(point).id])])

    await asyncio.gather(*(write(point) for point in range(60)))
    expected = {number: {point for point in range(60) if point % 5 == number and point % 7} for number in range(5)}

    async def there(engine: EdgeEngine, number: int) -> set[int]:
        return {int(payload["document_id"]) for _, payload in await engine.scroll(key(number), EVERYTHING)}

    assert {number: await there(engine, number) for number in range(5)} == expected
    assert metric("open_collections") <= 2
    await engine.aclose()
    again = EdgeEngine(tmp_path, threads=1)
    assert {number: await there(again, number) for number in range(5)} == expected
    await again.aclose()


async def test_idle_ones_are_closed(tmp_path: Path) -> None:
    engine = EdgeEngine(tmp_path, threads=1, idle_seconds=0.05)
    await engine.create(key(0), About(1200, 1.0))
    await put(engine, key(0), 0)
    await until(lambda: metric("open_collections") == 0)
    assert await engine.count(key(0), EVERYTHING) == 1
    await engine.aclose()


async def test_a_list_opens_each_once_and_then_none_until_it_is_written_to(engine: EdgeEngine) -> None:
    store = PointStore(engine)
    for number in range(MOST + 2):
        await engine.create(key(number), About(1200, 1.0))
    names = await store.collections(TENANT)
    described = [await store.describe(CollectionKey(TENANT, name)) for name in names]
    before = metric("collection_openings_total")
    assert [await store.describe(CollectionKey(TENANT, name)) for name in names] == described
    assert metric("collection_openings_total") == before
    await put(engine, key(0), 0)
    assert (await store.describe(key(0))).document_count == 1


async def test_one_that_is_indexed_stays_open_until_its_copy_takes_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(qdrant_edge, "POLL_SECONDS", 0.02)
    engine = EdgeEngine(tmp_path, threads=2, index_from=1, most_open=2)
    for number in range(4):
        await engine.create(key(number), About(1200, 1.0))
    await put(engine, key(0), 0)
    await engine.rest(key(0))
    folder = tmp_path / TENANT / key(0).collection

    async def marked() -> bool:
        await engine.count(key(1), EVERYTHING)
        await engine.count(key(2), EVERYTHING)
        await put(engine, key(3), 3)
        return bool(json.loads((folder / MARKER).read_text())["generations"]["0"]["indexed"])

    await until(marked)
    await until(lambda: not (folder / "shard").exists())
    assert await engine.count(key(0), EVERYTHING) == 1
    await engine.aclose()


async def test_dropping_and_creating_side_by_side_leaves_a_whole_one_or_none(engine: EdgeEngine) -> None:
    async def churn() -> None:
        for _ in range(4):
            try:
                await engine.create(key(0), About(1200, 1.0))
            except CollectionExists:
                await asyncio.sleep(0)
            try:
                await put(engine, key(0), 0)
                await engine.drop(key(0))
            except CollectionNotFound:
                await asyncio.sleep(0)

    await asyncio.gather(*(churn() for _ in range(4)))
    try:
        assert await engine.count(key(0), EVERYTHING) in (0, 1)
    except CollectionNotFound:
        assert await engine.names(TENANT) == []
