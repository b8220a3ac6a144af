"""The bound of a model: who enters, who waits, who is turned away."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from services.llm.chat import Priority
from services.llm.concurrency import ConcurrencyLimit, ModelBusy
from services.runtime.call import Call, enter
from services.runtime.errors import ErrorKind
from services.runtime.identity import Identity
from tests.fakes.serving import until

NOW, LATER = Priority.INTERACTIVE, Priority.BATCH


def gate(limit: int = 1, queue: int = 2, seconds: float = 30) -> ConcurrencyLimit:
    return ConcurrencyLimit("small", limit, queue, seconds)


class Visit:
    """Someone who wants in, and stays until told to go."""

    def __init__(self, gate: ConcurrencyLimit, priority: Priority = NOW, tenant: str = "acme") -> None:
        self.inside = asyncio.Event()
        self.go = asyncio.Event()
        self.task = asyncio.create_task(self._visit(gate, priority, tenant))

    async def _visit(self, gate: ConcurrencyLimit, priority: Priority, tenant: str) -> None:
        enter(Call("/x", identity=Identity(tenant, "ann")))
        async with gate.place(priority):
            self.inside.set()
            await self.go.wait()

    async def entered(self) -> None:
        async with asyncio.timeout(60):
            await self.inside.wait()

    async def leave(self) -> None:
        self.go.set()
        await self.task


async def test_the_queue_is_served_in_order_and_interactive_first() -> None:
    one = gate(queue=4)
    first = Visit(one)
    await first.inside.wait()
    batch, second, third = Visit(one, LATER), Visit(one), Visit(one)
    await until(lambda: one.waiting == 3)
    assert one.running == 1
    order = [first]
    for expected in (second, third, batch):
        await order[-1].leave()
        async with asyncio.timeout(60):
            await expected.inside.wait()
        assert one.running == 1
        order.append(expected)
    await batch.leave()
    assert (one.running, one.waiting) == (0, 0)


async def test_tenants_take_turns() -> None:
    one = gate(queue=8)
    first = Visit(one, tenant="big")
    await first.inside.wait()
    big = [Visit(one, tenant="big") for _ in range(4)]
    await until(lambda: one.waiting == 4)
    small = Visit(one, tenant="small")
    await until(lambda: one.waiting == 5)
    await first.leave()
    await small.entered()
    assert not any(visit.inside.is_set() for visit in big)
    await small.leave()
    for visit in big:
        await visit.entered()
        await visit.leave()


async def test_a_full_queue_has_room_for_another_tenant() -> None:
    one = gate(queue=4)
    first = Visit(one, tenant="big")
    await first.inside.wait()
    big = [Visit(one, tenant="big") for _ in range(4)]
    await until(lambda: one.waiting == 4)
    small = Visit(one, tenant="small")
    with pytest.raises(ModelBusy):
        await big.pop().task
    await first.leave()
    for visit in (small, *big):
        await visit.entered()
        await visit.leave()


async def test_one_too_many_is_turned_away() -> None:
    one = gate(limit=2, queue=1)
    visits = [Visit(one) for _ in range(3)]
    await until(lambda: one.waiting == 1)
    with pytest.raises(ModelBusy) as caught:
        async with one.place(NOW):
            pass
    error = caught.value
    assert (error.kind, error.reason) == (ErrorKind.RESOURCE_EXHAUSTED, "MODEL_BUSY")
    assert error.details == {"model": "small", "running": "2", "waiting": "1"}
    assert error.retry_after is not None
    assert 1 <= error.retry_after <= 60
    for visit in visits:
        await visit.leave()


async def test_a_queue_of_none_turns_away_at_once() -> None:
    one = gate(queue=0)
    async with one.place(NOW):
        with pytest.raises(ModelBusy):
            await AsyncExitStack().enter_async_context(one.place(NOW))
    async with one.place(NOW):
        assert one.running == 1


async def test_waiting_has_an_end() -> None:
    one = gate(seconds=0.01)
    async with one.place(NOW):
        with pytest.raises(ModelBusy):
            await AsyncExitStack().enter_async_context(one.place(NOW))
        assert (one.running, one.waiting) == (1, 0)


async def test_who_gives_up_waiting_leaves_no_trace() -> None:
    one = gate()
    first = Visit(one)
    await first.inside.wait()
    second = Visit(one)
    await until(lambda: one.waiting == 1)
    second.task.cancel()
    await asyncio.gather(second.task, return_exceptions=True)
    assert (one.running, one.waiting) == (1, 0)
    await first.leave()
    assert one.running == 0


async def test_who_gives_up_just_as_the_place_is_free_hands_it_on() -> None:
    one = gate()
    first = Visit(one)
    await first.inside.wait()
    second, third = Visit(one), Visit(one)
    await until(lambda: one.waiting == 2)
    first.go.set()
    await asyncio.sleep(0)  # the place is the second's now, who has not woken yet
    second.task.cancel()
    async with asyncio.timeout(60):
        await third.inside.wait()
    await asyncio.gather(first.task, second.task, return_exceptions=True)
    assert (one.running, one.waiting) == (1, 0)
    await third.leave()
    assert one.running == 0


async def test_what_fails_inside_gives_its_place_back() -> None:
    one = gate()
    with pytest.raises(RuntimeError):
        async with one.place(NOW):
            raise RuntimeError
    assert one.running == 0
