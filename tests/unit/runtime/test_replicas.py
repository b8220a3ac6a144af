"""A service is well while one of its replicas is."""

import asyncio
from collections.abc import Sequence

import pytest

from services.runtime.call import ORDINAL_KEY
from services.runtime.replicas import AnyReplica, Metadata

WELL, ILL, FROZEN, GONE = "well", "ill", "frozen", "gone"


class Replicas:
    """What each says; who is asked is found by the number in the metadata, as routing does it."""

    def __init__(self, states: Sequence[str]) -> None:
        self.states = list(states)
        self.asked: list[int] = []
        self.waiting = 0

    async def ask(self, metadata: Metadata) -> bool:
        number = int(dict(metadata)[ORDINAL_KEY]) % len(self.states)
        self.asked.append(number)
        state = self.states[number]
        if state == FROZEN:
            self.waiting += 1
            try:
                await asyncio.Event().wait()
            finally:
                self.waiting -= 1
        if state == GONE:
            raise ConnectionError(f"replica {number} is gone")
        return state == WELL


@pytest.mark.parametrize(
    "states",
    [
        [WELL],
        [WELL, WELL],
        [FROZEN, WELL],
        [WELL, FROZEN],
        [GONE, WELL],
        [ILL, WELL],
        [FROZEN, GONE, WELL],
        [GONE, ILL, FROZEN, WELL],
    ],
)
async def test_one_that_is_well_is_enough(states: list[str]) -> None:
    replicas = Replicas(states)
    check = AnyReplica(replicas.ask)
    assert await check()
    replicas.asked.clear()
    assert await check()
    assert replicas.asked == [states.index(WELL)]  # it is asked first from then on
    assert replicas.waiting == 0


async def test_none_that_is_well_is_not_enough() -> None:
    assert not await AnyReplica(Replicas([ILL, ILL]).ask)()
    with pytest.raises(ConnectionError):
        await AnyReplica(Replicas([GONE, GONE]).ask)()
    with pytest.raises(ConnectionError):
        await AnyReplica(Replicas([GONE, ILL]).ask)()


async def test_who_is_asked_moves_on_where_there_are_more_than_are_asked_at_once() -> None:
    check = AnyReplica(Replicas([GONE] * 6 + [WELL]).ask)
    with pytest.raises(ConnectionError):
        await check()
    assert await check()


async def test_nobody_is_asked_any_more_when_the_answer_is_no_longer_waited_for() -> None:
    replicas = Replicas([FROZEN])
    asking = asyncio.create_task(AnyReplica(replicas.ask)())
    while not replicas.waiting:
        await asyncio.sleep(0)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    assert replicas.waiting == 0
