"""One process at a time holds a lease, on both databases and whatever the clocks say."""

import asyncio
from dataclasses import dataclass

from services.runtime.records.database import Database
from services.runtime.records.lease import RESIGNED, Held, Lease, LeaseWatch


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


def lease(database: Database, holder: str, clock: Clock) -> Lease:
    return Lease(database, "retention", holder, 60, clock)


async def test_it_is_taken_over_once_it_was_not_renewed_for_its_length(database: Database) -> None:
    clock, elsewhere = Clock(), Clock(5.0)
    one, other = lease(database, "a", clock), lease(database, "b", elsewhere)
    assert await one.hold()
    assert not await other.hold()
    elsewhere.now += 59
    assert await one.hold()
    assert not await other.hold()
    elsewhere.now += 59
    assert not await other.hold(), "it was renewed 59 seconds ago"
    elsewhere.now += 1
    assert await other.hold()
    assert not await one.hold(), "it is another's now"
    assert await other.hold()


async def test_a_holder_that_leaves_need_not_be_waited_for(database: Database) -> None:
    one, other, third = (lease(database, name, Clock()) for name in "abc")
    assert await one.hold()
    assert not await third.hold()
    await one.leave()
    await other.leave()
    assert await other.hold()
    assert not await third.hold(), "another has it, since just now"
    assert not await one.hold()


async def test_a_process_that_starts_again_under_its_name_goes_on(database: Database) -> None:
    assert await lease(database, "a", Clock()).hold()
    assert await lease(database, "a", Clock()).hold()


async def test_one_of_many_takes_over(database: Database) -> None:
    assert await lease(database, "dead", Clock()).hold()
    clock = Clock()
    many = [lease(database, str(number), clock) for number in range(8)]
    assert not any(await asyncio.gather(*(one.hold() for one in many)))
    clock.now += 60
    assert sum(await asyncio.gather(*(one.hold() for one in many))) == 1


def test_what_a_watch_takes_for_expired() -> None:
    clock = Clock()
    watch = LeaseWatch(10, clock)
    assert watch.expired({"a": Held("x", 1), "b": Held("y", 1), "c": Held("z", RESIGNED)}) == {"c": Held("z", RESIGNED)}
    clock.now += 10
    assert watch.expired({"a": Held("x", 2), "b": Held("y", 1)}) == {"b": Held("y", 1)}
    clock.now += 10
    assert watch.expired({"b": Held("w", 1)}) == {}, "another holder"
    clock.now += 10
    assert watch.expired({"a": Held("x", 2)}) == {}, "it was gone meanwhile"
