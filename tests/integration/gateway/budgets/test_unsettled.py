"""What is left of calls whose gateway stalls or dies: counted once, whoever settles them."""

import asyncio
from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.budgets.model import Cost
from gateway.budgets.reservation import Reservation
from gateway.usage.record import Spent, Usage, usage_of
from gateway.usage.store import UsageFilter
from tests.integration.gateway.budgets.replicas import WHO, Replica, replica, settle


class Stream:
    """A call that writes, and says how much so far."""

    def __init__(self, reservation: Reservation) -> None:
        self.reservation = reservation
        self.written = 0
        reservation.follow(lambda: usage_of(WHO, Spent("rag", prompt_tokens=10, completion_tokens=self.written)))

    def write(self, tokens: int) -> None:
        self.written += tokens
        self.reservation.take(Cost(10 + self.written))


async def stream_of(one: Replica) -> Stream:
    return Stream(await one.budgets.reserve(WHO, "rag", Cost(1_000)))


async def until_open(one: Replica, tokens: int) -> None:
    """Until a heartbeat has said so many in all."""
    async with asyncio.timeout(10):
        while await scalar(one, "SELECT COALESCE(SUM(completion_tokens), 0) FROM usage_open") != tokens:
            await asyncio.sleep(0.02)


async def scalar(one: Replica, query: str) -> int:
    async with one.database.read() as connection:
        return int((await connection.exec_driver_sql(query)).scalar_one())


async def expire(one: Replica) -> None:
    """As if the calls' gateway had not been heard of for long."""
    async with one.database.write() as connection:
        await connection.exec_driver_sql("UPDATE usage_open SET expires = 1")


async def swept(one: Replica) -> Sequence[tuple[int, str]]:
    """The rows of usage, once there are any."""
    async with asyncio.timeout(10):
        while not (rows := await usage(one)):
            await asyncio.sleep(0.02)
    return rows


async def usage(one: Replica) -> Sequence[tuple[int, str]]:
    return [(row.completion_tokens, row.finish_reason) async for row in one.usage.each_call(UsageFilter())]


async def test_a_call_that_is_settled_leaves_nothing_under_way(records_url: str) -> None:
    async with replica(records_url, lease=1.0) as one:
        stream, quick = await stream_of(one), await stream_of(one)
        await asyncio.sleep(0.5)
        assert await scalar(one, "SELECT COUNT(*) FROM usage_open") == 0  # nothing was used yet
        stream.write(20)
        await until_open(one, 20)
        stream.write(5)
        await until_open(one, 25)
        await settle(stream.reservation, 45)
        quick.write(3)
        await settle(quick.reservation, 13)
        assert await scalar(one, "SELECT COUNT(*) FROM usage_open") == 0
        assert (await one.usage.total(UsageFilter())).calls == 2


async def test_a_call_that_is_released_leaves_nothing_either(records_url: str) -> None:
    async with replica(records_url, lease=1.0) as one:
        stream = await stream_of(one)
        stream.write(20)
        await until_open(one, 20)
        stream.reservation.release()
        await until_open(one, 0)
        assert await usage(one) == []


async def test_a_gateway_that_was_only_slow_settles_once(records_url: str) -> None:
    async with replica(records_url, "slow", lease=1.0) as slow, replica(records_url, "quick", lease=1.0) as quick:
        budget = await slow.budget(10_000)
        stream = await stream_of(slow)
        stream.write(20)
        await until_open(quick, 20)
        stream.reservation._call, call = None, stream.reservation._call  # it says nothing more for now
        assert call is not None
        call.counted = False
        await expire(quick)
        assert await swept(quick) == [(20, "abandoned")]
        assert (await quick.usage.total(UsageFilter())).completion_tokens == 20
        stream.reservation._call, call.counted = call, True
        stream.write(30)  # and goes on: what it says is one row, and what it had said is not counted twice
        await until_open(quick, 50)
        await settle(stream.reservation, 70)
        assert await scalar(quick, "SELECT COUNT(*) FROM usage_open") == 0
        assert (await quick.usage.total(UsageFilter())).prompt_tokens == 70
        total = await quick.usage.total(UsageFilter())
        assert (total.calls, total.completion_tokens) == (1, 0)
        assert [row.finish_reason async for row in quick.usage.each_call(UsageFilter())] == [""]
        assert await quick.spent(budget) == 70


async def test_two_sweepers_and_a_settlement_count_once(records_url: str) -> None:
    async with replica(records_url, "slow", lease=1.0) as slow, replica(records_url, "quick", lease=1.0) as quick:
        streams = [await stream_of(slow) for _ in range(20)]
        for stream in streams:
            stream.write(10)
        await until_open(slow, 200)
        await expire(slow)
        settling = [settle(stream.reservation, 20) for stream in streams]
        sweeping = [one.budgets._leases._sweeper.sweep() for one in (slow, quick)]
        await asyncio.gather(*settling, *sweeping)
        await slow.budgets._leases._sweeper.sweep()
        total = await quick.usage.total(UsageFilter())
        assert (total.calls, total.prompt_tokens, total.completion_tokens) == (20, 400, 0)
        assert await scalar(quick, "SELECT COUNT(*) FROM usage_open") == 0
        assert {row.finish_reason async for row in quick.usage.each_call(UsageFilter())} == {""}


async def test_what_is_swept_is_told_in_the_same_transaction(records_url: str) -> None:
    told: list[Usage] = []

    async def abandoned(connection: AsyncConnection, rows: Sequence[Usage]) -> None:
        assert (await connection.exec_driver_sql("SELECT COUNT(*) FROM usage")).scalar_one() == len(rows)
        told.extend(rows)

    async with (
        replica(records_url, "dies", lease=60.0, abandoned=abandoned) as dies,
        replica(records_url, "lives", lease=1.0, abandoned=abandoned) as lives,
    ):
        stream = await stream_of(dies)
        stream.write(20)
        await until_open(lives, 20)
        stream.reservation._call = None
        await expire(lives)
        assert await swept(lives) == [(20, "abandoned")]
        assert [(row.tenant, row.subject, row.completion_tokens) for row in told] == [("acme", "ann", 20)]
