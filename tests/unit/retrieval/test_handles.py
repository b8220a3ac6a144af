"""Resources that are open, a bounded number of them."""

import asyncio
import random
from collections import Counter

import pytest

from services.retrieval.store.handles import HandleCache
from tests.fakes.serving import until


class Shelf:
    """Opens and closes by name. What is open twice at once, or closed while in use, fails the test at once."""

    def __init__(self) -> None:
        self.open: set[str] = set()
        self.openings: Counter[str] = Counter()
        self.most = 0
        self.in_use: Counter[str] = Counter()
        self.gate = asyncio.Event()
        self.gate.set()
        self.error: Exception | None = None

    async def opened(self, name: str) -> str:
        await self.gate.wait()
        await asyncio.sleep(0)
        if self.error:
            raise self.error
        assert name not in self.open
        self.open.add(name)
        self.openings[name] += 1
        self.most = max(self.most, len(self.open))
        return name

    async def closed(self, name: str) -> None:
        assert not self.in_use[name]
        await asyncio.sleep(0)
        self.open.remove(name)


def cache(shelf: Shelf, most: int = 2, idle_seconds: float = 3600.0) -> HandleCache[str, str]:
    return HandleCache(shelf.opened, shelf.closed, most, idle_seconds)


async def touch(handles: HandleCache[str, str], *names: str) -> None:
    for name in names:
        handles.release(await handles.acquire(name))


@pytest.mark.parametrize(
    ("used", "open_"),
    [
        ("a", "a"),
        ("ab", "ab"),
        ("abc", "bc"),
        ("abac", "ac"),
        ("abcabc", "bc"),
        ("aabbaac", "ac"),
    ],
)
async def test_the_one_unused_for_longest_makes_room(used: str, open_: str) -> None:
    shelf = Shelf()
    handles = cache(shelf)
    await touch(handles, *used)
    assert (shelf.open, len(handles)) == (set(open_), len(open_))
    assert shelf.most <= 2
    await handles.aclose()
    assert (shelf.open, len(handles)) == (set(), 0)


async def test_a_look_counts_as_a_use() -> None:
    shelf = Shelf()
    handles = cache(shelf)
    await touch(handles, "a", "b")
    assert handles.get("a") == "a"
    await touch(handles, "c")
    assert shelf.open == {"a", "c"}
    assert handles.get("b") is None
    await handles.aclose()


async def test_all_who_ask_at_once_get_the_one_opening() -> None:
    shelf = Shelf()
    shelf.gate.clear()
    handles = cache(shelf)
    asking = [asyncio.create_task(handles.acquire("a")) for _ in range(50)]
    await asyncio.sleep(0)
    shelf.gate.set()
    assert len({id(handle) for handle in await asyncio.gather(*asking)}) == 1
    assert shelf.openings == {"a": 1}
    for task in asking:
        handles.release(task.result())
    await handles.aclose()


async def test_an_opening_outlives_the_caller_who_caused_it() -> None:
    shelf = Shelf()
    shelf.gate.clear()
    handles = cache(shelf)
    first, second = (asyncio.create_task(handles.acquire("a")) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    shelf.gate.set()
    assert (await second).resource == "a"
    handles.release(second.result())
    await touch(handles, "a")
    assert shelf.openings == {"a": 1}
    await handles.aclose()


async def test_one_in_use_is_not_closed_and_the_next_waits() -> None:
    shelf = Shelf()
    handles = cache(shelf)
    a, b = await handles.acquire("a"), await handles.acquire("b")
    waiting = asyncio.create_task(handles.acquire("c"))
    also = asyncio.create_task(handles.acquire("a"))
    await until(also.done)
    assert not waiting.done()
    assert shelf.open == {"a", "b"}
    handles.release(b)
    assert (await waiting).resource == "c"
    assert shelf.open == {"a", "c"}
    for handle in (a, also.result(), waiting.result()):
        handles.release(handle)
    await handles.aclose()


async def test_a_failure_is_everyones_who_waits_and_nobody_elses() -> None:
    shelf = Shelf()
    shelf.gate.clear()
    shelf.error = ValueError("no")
    handles = cache(shelf, most=1)
    asking = [asyncio.create_task(handles.acquire("a")) for _ in range(3)]
    await asyncio.sleep(0)
    shelf.gate.set()
    outcomes = await asyncio.gather(*asking, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [ValueError] * 3
    shelf.error = None
    await touch(handles, "a", "b")
    assert shelf.open == {"b"}
    await handles.aclose()


async def test_idle_ones_are_closed_and_opened_again() -> None:
    shelf = Shelf()
    handles = cache(shelf, idle_seconds=0.01)
    used = await handles.acquire("a")
    await touch(handles, "b")
    await until(lambda: shelf.open == {"a"})
    handles.release(used)
    await until(lambda: not shelf.open)
    await touch(handles, "a")
    assert shelf.openings["a"] == 2
    await until(lambda: not shelf.open)
    await handles.aclose()


async def test_one_that_is_closed_on_purpose_waits_for_its_users_and_others_for_it() -> None:
    shelf = Shelf()
    handles = cache(shelf)
    used = await handles.acquire("a")
    closing = asyncio.create_task(handles.discard("a"))
    again = asyncio.create_task(handles.acquire("a"))
    await asyncio.sleep(0)
    assert shelf.open == {"a"}
    handles.release(used)
    await closing
    assert (await again).resource == "a"
    assert shelf.openings["a"] == 2
    handles.release(again.result())
    await handles.aclose()


async def test_another_takes_the_place_of_one_that_is_read_to_its_end() -> None:
    shelf = Shelf()
    handles = cache(shelf)
    used = await handles.acquire("old")
    shelf.open.add("new")
    closed = handles.replace("old", "new")
    assert handles.get("old") == "new"
    assert not closed.done()
    assert "old" in shelf.open
    handles.release(used)
    await closed
    assert (shelf.open, len(handles)) == ({"new"}, 1)
    await handles.aclose()
    assert not shelf.open


async def test_adding_opens_in_another_way_unless_somebody_was_first() -> None:
    shelf = Shelf()
    handles = cache(shelf, most=1)
    await touch(handles, "a")
    assert await handles.add("b", shelf.opened)
    assert shelf.open == {"b"}
    assert not await handles.add("b", shelf.opened)
    shelf.error = ValueError("no")
    with pytest.raises(ValueError, match="no"):
        await handles.add("c", shelf.opened)
    await handles.aclose()


@pytest.mark.parametrize("most", [1, 2, 5])
async def test_a_crowd_never_has_more_open_than_the_bound(most: int) -> None:
    shelf = Shelf()
    handles = cache(shelf, most, idle_seconds=0.002)
    dice = random.Random(most)

    async def caller() -> None:
        for _ in range(30):
            name = dice.choice("abcdefgh")
            handle = await handles.acquire(name)
            shelf.in_use[name] += 1
            try:
                await asyncio.sleep(dice.choice((0, 0, 0.001)))
                assert name in shelf.open
            finally:
                shelf.in_use[name] -= 1
                handles.release(handle)
            if not dice.randrange(10):
                await handles.discard(dice.choice("abcdefgh"))

    leavers = [asyncio.create_task(caller()) for _ in range(10)]
    async with asyncio.TaskGroup() as group:
        for _ in range(20):
            group.create_task(caller())
        for leaver in leavers:
            await asyncio.sleep(0.001)
            leaver.cancel()
    await asyncio.gather(*leavers, return_exceptions=True)
    assert 0 < shelf.most <= most
    await handles.aclose()
    assert (shelf.open, len(handles)) == (set(), 0)
