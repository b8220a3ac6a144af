"""What ingestions share: documents, and the calls of the embedder."""

import asyncio

import pytest

from services.retrieval.errors import EmbedderUnavailable
from services.retrieval.ingest.batches import Batches
from services.retrieval.ingest.locks import Locks
from tests.fakes.retrieval import FakeEmbedder, vector_of


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


class TestLocks:
    async def test_are_held_by_one_at_a_time_and_forgotten(self) -> None:
        locks = Locks()
        inside = most = 0

        async def enter(key: str) -> None:
            nonlocal inside, most
            async with locks.held(key):
                inside += 1
                most = max(most, inside)
                await asyncio.sleep(0)
                inside -= 1

        await asyncio.gather(*(enter("a") for _ in range(5)))
        assert most == 1
        assert not locks._locks


class TestBatches:
    async def test_join_those_who_wait(self) -> None:
        embedder = FakeEmbedder()
        batches = Batches(embedder, 8, 1)
        texts = [f"text {number}" for number in range(20)]
        found = await asyncio.gather(*(batches.embed([text], [[(0, 4)]]) for text in texts))
        assert embedder.batches == [8, 8, 4]
        assert all((vector == vector_of(text)).all() for text, [(vector, _)] in zip(texts, found, strict=True))
        await batches.aclose()

    async def test_do_not_wait_for_more(self) -> None:
        embedder = FakeEmbedder()
        await Batches(embedder, 8, 1).embed(["one"], [[]])
        assert embedder.batches == [1]

    async def test_have_some_of_everybody(self) -> None:
        """A small ingestion is not behind a large one, nor a tenant's stream behind its other."""
        embedder = FakeEmbedder()
        embedder.gate.clear()
        batches = Batches(embedder, 4, 1)
        large = asyncio.create_task(batches.embed(["a"] * 400, [[]] * 400, ("big", 1)))
        await settle()
        same = asyncio.create_task(batches.embed(["b"] * 2, [[]] * 2, ("big", 2)))
        other = asyncio.create_task(batches.embed(["c"] * 4, [[]] * 4, ("small", 3)))
        await settle()
        embedder.gate.set()
        await asyncio.gather(same, other)
        assert len(embedder.batches) < 20, "of a hundred"
        assert not large.done()
        await large
        await batches.aclose()

    async def test_skip_those_who_left(self) -> None:
        embedder = FakeEmbedder()
        embedder.gate.clear()
        batches = Batches(embedder, 4, 1)
        first = asyncio.create_task(batches.embed(["a"] * 4, [[]] * 4))
        gone = asyncio.create_task(batches.embed(["b"] * 4, [[]] * 4))
        last = asyncio.create_task(batches.embed(["c"], [[]]))
        await settle()
        gone.cancel()
        await settle()
        embedder.gate.set()
        await asyncio.gather(first, last)
        assert embedder.batches == [4, 1]

    async def test_hand_on_errors_and_go_on(self) -> None:
        embedder = FakeEmbedder()
        batches = Batches(embedder, 4, 2)
        embedder.error = EmbedderUnavailable("gone")
        with pytest.raises(EmbedderUnavailable):
            await batches.embed(["a"] * 9, [[]] * 9)
        embedder.error = None
        assert len(await batches.embed(["a"] * 9, [[]] * 9)) == 9

    async def test_end_with_whom_they_serve(self) -> None:
        embedder = FakeEmbedder()
        embedder.gate.clear()
        batches = Batches(embedder, 4, 1)
        waiting = asyncio.create_task(batches.embed(["a"] * 9, [[]] * 9))
        await settle()
        await batches.aclose()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert embedder.cancelled == 1
