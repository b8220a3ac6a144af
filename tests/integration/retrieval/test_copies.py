"""While another process copies a collection nobody writes to it, all read it, and other collections go on."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from services.retrieval.model import WIDTH, CollectionKey
from services.retrieval.store.engine import About, Point, Upsert, Where
from services.retrieval.store.qdrant_edge import EdgeEngine
from services.runtime.copy_lock import copying

COPIED, OTHER = CollectionKey("acme", "copied"), CollectionKey("acme", "other")
ABOUT = About(1200, 1.0)


def upsert(number: int) -> list[Upsert]:
    return [Upsert([Point(f"{number:032x}", {"kind": "passage"}, np.ones(WIDTH, np.float32))])]


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[EdgeEngine]:
    engine = EdgeEngine(tmp_path, 2)
    for key in (COPIED, OTHER):
        await engine.create(key, ABOUT)
        await engine.apply(key, upsert(0))
    yield engine
    await engine.aclose()


@contextmanager
def copied(folder: Path) -> Iterator[None]:
    """Copied by a thread of its own, as by another process."""
    begun, end = threading.Event(), threading.Event()

    def copy() -> None:
        with copying(folder):
            begun.set()
            end.wait()

    thread = threading.Thread(target=copy)
    thread.start()
    begun.wait()
    try:
        yield
    finally:
        end.set()
        thread.join()


Work = Callable[[EdgeEngine], Coroutine[Any, Any, None]]


@pytest.mark.parametrize(
    "work",
    [
        lambda engine: engine.apply(COPIED, upsert(1)),
        lambda engine: engine.drop(COPIED),
        lambda engine: engine._rest(COPIED),
        lambda engine: engine.aclose(),
    ],
    ids=["apply", "drop", "flush", "close"],
)
async def test_what_writes_waits_for_the_copy(engine: EdgeEngine, tmp_path: Path, work: Work) -> None:
    with copied(tmp_path / "acme/copied"):
        waiting = asyncio.create_task(work(engine))
        for _ in range(20):
            await asyncio.sleep(0.005)
            assert not waiting.done()
    async with asyncio.timeout(60):
        await waiting


async def test_reads_and_other_collections_go_on(engine: EdgeEngine, tmp_path: Path) -> None:
    with copied(tmp_path / "acme/copied"):
        waiting = [asyncio.create_task(engine.apply(COPIED, upsert(number))) for number in range(1, 9)]
        async with asyncio.timeout(60):
            assert await engine.count(COPIED, Where()) == 1
            await engine.apply(OTHER, upsert(1))
            assert await engine.count(OTHER, Where()) == 2
            await engine.create(CollectionKey("acme", "new"), ABOUT)
            await engine.drop(OTHER)
        assert not any(task.done() for task in waiting)
    async with asyncio.timeout(60):
        await asyncio.gather(*waiting)
        assert await engine.count(COPIED, Where()) == 9


async def test_a_writer_that_left_while_it_waited_writes_nothing(engine: EdgeEngine, tmp_path: Path) -> None:
    with copied(tmp_path / "acme/copied"):
        waiting = asyncio.create_task(engine.apply(COPIED, upsert(1)))
        await asyncio.sleep(0.02)
        waiting.cancel()
        assert isinstance((await asyncio.gather(waiting, return_exceptions=True))[0], asyncio.CancelledError)
    assert await engine.count(COPIED, Where()) == 1
    await engine.apply(COPIED, upsert(2))


async def test_a_collection_is_opened_when_its_copy_is_made(tmp_path: Path) -> None:
    engine = EdgeEngine(tmp_path, 2)
    await engine.create(COPIED, ABOUT)
    await engine.aclose()
    engine = EdgeEngine(tmp_path, 2)
    with copied(tmp_path / "acme/copied"):
        opening = asyncio.create_task(engine.count(COPIED, Where()))
        async with asyncio.timeout(60):
            await engine.create(OTHER, ABOUT)
        assert not opening.done()
    async with asyncio.timeout(60):
        assert await opening == 0
        await engine.aclose()
