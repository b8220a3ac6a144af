"""What tenants share, and in what order they get it."""

import asyncio
from collections.abc import Sequence

import pytest

from services.runtime.fairness import FairLimit, FairQueue, Full, within_share


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


class TestFairQueue:
    @pytest.mark.parametrize(
        ("pushed", "order"),
        [
            (["a1", "a2", "a3"], "a1 a2 a3"),
            (["a1", "a2", "a3", "b1", "b2"], "a1 b1 a2 b2 a3"),
            (["a1", "a2", "a3", "b1", "c1"], "a1 b1 c1 a2 a3"),
        ],
    )
    def test_tenants_take_turns(self, pushed: Sequence[str], order: str) -> None:
        queue: FairQueue[str] = FairQueue()
        for item in pushed:
            queue.push((item[0],), item)
        assert " ".join(queue.pop() for _ in range(len(queue))) == order
        assert not queue

    def test_streams_take_turns_in_their_tenant_s(self) -> None:
        queue: FairQueue[str] = FairQueue()
        for item in ("ax1", "ax2", "ax3", "ay1", "az1", "bx1", "bx2"):
            queue.push((item[0], item[1]), item)
        assert [queue.pop() for _ in range(7)] == ["ax1", "bx1", "ay1", "bx2", "az1", "ax2", "ax3"]

    def test_the_newest_of_the_largest_is_dropped(self) -> None:
        queue: FairQueue[str] = FairQueue()
        for item in ("ax1", "ay1", "ay2", "bx1"):
            queue.push((item[0], item[1]), item)
        assert queue.longest() == "a"
        assert [queue.drop("a"), queue.drop("a")] == ["ay2", "ax1"]
        assert (len(queue), queue.of("a"), queue.of("b"), queue.of("c")) == (2, 1, 1, 0)

    def test_what_was_taken_out_is_gone(self) -> None:
        queue: FairQueue[str] = FairQueue()
        queue.push(("a", 1), "one")
        with pytest.raises(ValueError, match="no such item"):
            queue.remove(("b", 1), "one")
        queue.remove(("a", 1), "one")
        assert len(queue) == 0
        with pytest.raises(IndexError):
            queue.pop()


class TestFairLimit:
    async def test_waits_for_what_is_not_left(self) -> None:
        limit = FairLimit(10)
        await limit.acquire(("a",), 7)
        waiting = asyncio.create_task(limit.acquire(("a",), 5))
        await settle()
        assert not waiting.done()
        limit.release(("a",), 7)
        await waiting
        assert limit.used == 5

    async def test_a_small_one_does_not_pass_a_large_one(self) -> None:
        limit = FairLimit(10)
        await limit.acquire(("a",), 8)
        large, small = (asyncio.create_task(limit.acquire(("a",), amount)) for amount in (9, 1))
        await settle()
        assert not small.done()
        limit.release(("a",), 8)
        await asyncio.gather(large, small)
        assert limit.used == 10

    async def test_gives_more_than_there_is_to_one_alone(self) -> None:
        limit = FairLimit(10, spare=True)
        await limit.acquire(("a",), 50)
        limit.release(("a",), 50)
        assert limit.used == 0

    async def test_loses_nothing_to_the_cancelled(self) -> None:
        limit = FairLimit(10)
        await limit.acquire(("a",), 8)
        cancelled, waiting = (asyncio.create_task(limit.acquire(("a",), amount)) for amount in (10, 2))
        await settle()
        cancelled.cancel()
        await waiting
        limit.release(("a",), 8)
        assert (limit.used, limit.waiting) == (2, 0)

    async def test_loses_nothing_to_one_cancelled_as_it_is_served(self) -> None:
        limit = FairLimit(10)
        await limit.acquire(("a",), 10)
        served = asyncio.create_task(limit.acquire(("a",), 4))
        await settle()
        limit.release(("a",), 10)
        served.cancel()
        await asyncio.gather(served, return_exceptions=True)
        assert limit.used == 0

    async def test_who_holds_least_is_next(self) -> None:
        limit = FairLimit(3)
        for _ in range(3):
            await limit.acquire(("a",))
        order: list[str] = []

        async def wait(name: str) -> None:
            await limit.acquire((name,))
            order.append(name)

        tasks = [asyncio.create_task(wait(name)) for name in "aaaabbc"]
        await settle()
        for _ in range(3):
            limit.release(("a",))
            await settle()
        assert order == ["b", "c", "a"]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def test_of_equals_the_one_that_has_waited_longest_is_next(self) -> None:
        limit = FairLimit(1)
        await limit.acquire(("a",))
        mine = asyncio.create_task(limit.acquire(("a",)))
        await settle()
        other = asyncio.create_task(limit.acquire(("b",)))
        await settle()
        limit.release(("a",))
        await settle()
        assert (other.done(), mine.done()) == (True, False)
        limit.release(("b",))
        await settle()
        assert mine.done()
        limit.release(("a",))
        assert limit._last == {}

    async def test_rank_goes_before_turn(self) -> None:
        limit = FairLimit(1, ranks=2)
        await limit.acquire(("a",))
        later = asyncio.create_task(limit.acquire(("b",), rank=1))
        await settle()
        first = asyncio.create_task(limit.acquire(("a",)))
        await settle()
        limit.release(("a",))
        await first
        assert not later.done()
        limit.release(("a",))
        await later

    @pytest.mark.parametrize(("total", "alone"), [(1, 1), (2, 2), (3, 3), (4, 3), (8, 6), (16, 12), (1000, 750)])
    async def test_something_is_left_for_the_next_tenant(self, total: int, alone: int) -> None:
        limit = FairLimit(total, spare=True)
        assert sum(limit.take(("a",)) for _ in range(total + 1)) == alone
        greedy = asyncio.create_task(limit.acquire(("a",)))
        await settle()
        assert not greedy.done()
        if alone < total:
            await limit.acquire(("b",))  # although another waits
        limit.release(("a",))
        if alone == total:
            await greedy
        greedy.cancel()
        await asyncio.gather(greedy, return_exceptions=True)

    async def test_a_full_queue_makes_room_for_who_has_less_in_it(self) -> None:
        limit = FairLimit(1, 4)
        await limit.acquire(("a",))
        mine = [asyncio.create_task(limit.acquire(("a",))) for _ in range(4)]
        await settle()
        with pytest.raises(Full):
            await limit.acquire(("a",))
        theirs = [asyncio.create_task(limit.acquire(("b",))) for _ in range(3)]
        await settle()
        assert [task.done() for task in mine] == [False, False, True, True]
        assert [task.done() for task in theirs] == [False, False, True]
        for dropped in (mine[2], mine[3], theirs[2]):
            with pytest.raises(Full):
                await dropped
        for task in (*mine, *theirs):
            task.cancel()
        await asyncio.gather(*mine, *theirs, return_exceptions=True)
        assert (limit.used, limit.waiting) == (1, 0)

    async def test_waiting_has_an_end(self) -> None:
        limit = FairLimit(1)
        async with limit.place(("a",)):
            with pytest.raises(Full):
                await limit.acquire(("b",), seconds=0.001)
            assert (limit.used, limit.waiting) == (1, 0)
        assert limit.take(("b",))


def test_shares() -> None:
    assert within_share(0, 999, 1000)
    assert not within_share(0, 1000, 1000)
    assert within_share(100, 900, 1000)
    assert not within_share(300, 900, 1000)
