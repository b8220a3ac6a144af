"""Processes that die, stall, or lose their database, and the books afterwards."""

import asyncio
import signal
import sys
import textwrap
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

from gateway.budgets.errors import BudgetExceeded
from gateway.budgets.model import Cost
from gateway.usage.store import UsageFilter
from services.runtime.records.errors import RecordsUnavailable
from tests.fakes.serving import until
from tests.fixtures.processes import Postgres
from tests.integration.gateway.budgets.replicas import WHO, Replica, replica, settle

ROOT = Path(__file__).parents[4]
# Opens a stream of 60 tokens so far under a short lease, says so, and waits to be killed.
VICTIM = """
    import asyncio, sys
    from gateway.budgets.model import Cost
    from gateway.usage.record import Spent, usage_of
    from tests.integration.gateway.budgets.replicas import WHO, replica

    async def main() -> None:
        async with replica(sys.argv[1], "victim", lease=1.0) as one:
            reservation = await one.budgets.reserve(WHO, "rag", Cost(100))
            reservation.follow(lambda: usage_of(WHO, Spent("rag", prompt_tokens=40, completion_tokens=20)))
            reservation.take(Cost(60))
            used = 0
            while used != 60:  # a renewal says it
                await asyncio.sleep(0.05)
                async with one.database.read() as connection:
                    used = (await connection.exec_driver_sql("SELECT used FROM budget_grants")).scalar_one()
            print("ready", flush=True)
            await asyncio.sleep(60)

    asyncio.run(main())
"""


async def test_what_a_killed_process_held_is_free_after_its_lease(records_url: str) -> None:
    async with replica(records_url, lease=1.0, patience=0.0) as one:
        budget = await one.budget(100)
        victim = await asyncio.create_subprocess_exec(
            sys.executable, "-c", textwrap.dedent(VICTIM), records_url,
            stdout=PIPE, cwd=ROOT, env={"PYTHONPATH": f"{ROOT}:{ROOT}/protos"},
        )  # fmt: skip
        try:
            assert victim.stdout is not None
            assert await victim.stdout.readline() == b"ready\n"
            with pytest.raises(BudgetExceeded):
                await one.call(40, 40)
        finally:
            victim.send_signal(signal.SIGKILL)
            await victim.wait()
        async with asyncio.timeout(60):
            while await one.held(budget):
                await asyncio.sleep(0.05)
        assert await one.spent(budget) == 60
        async with asyncio.timeout(10):
            while not (left := [row async for row in one.usage.each_call(UsageFilter())]):
                await asyncio.sleep(0.05)
        assert [(row.prompt_tokens, row.completion_tokens, row.finish_reason) for row in left] == [
            (40, 20, "abandoned")
        ]
        assert (await one.usage.total(UsageFilter())).completion_tokens == 20
        await one.call(40, 40)
        assert await one.spent(budget) == 100


async def test_a_process_that_stalled_beyond_its_lease_counts_nothing_twice(records_url: str) -> None:
    async with replica(records_url, "slow", lease=1.0) as slow, replica(records_url, "quick", lease=1.0) as quick:
        budget = await slow.budget(1_000)
        await quick.budgets.reload()
        reservation = await slow.budgets.reserve(WHO, "rag", Cost(100))
        reservation.take(Cost(60))
        await until(lambda: used_is(quick, 60), 5)
        await slow.stall()
        await expire(quick)
        await quick.call(1, 1)  # whoever asks takes it back
        assert await quick.spent(budget) == 61
        assert reservation.take(Cost(80)) or await reservation.extend(Cost(80))
        await settle(reservation, 90)
        assert await quick.spent(budget) == 91


async def test_a_settled_stream_is_not_counted_again_when_its_process_is_given_up(records_url: str) -> None:
    async with replica(records_url, "slow", lease=1.0) as slow, replica(records_url, "lives", lease=60.0) as lives:
        budget = await slow.budget(1_000)
        streams = [await slow.budgets.reserve(WHO, "rag", Cost(100)) for _ in range(2)]
        for stream in streams:
            stream.take(Cost(60))
        await until(lambda: used_is(lives, 120), 5)
        await slow.stall()
        await settle(streams[0], 70)
        assert await used_is(lives, 60)
        await expire(lives)
        await lives.budgets.reload()
        await lives.call(1, 1)
        assert await lives.spent(budget) == 70 + 60 + 1
        streams[1].release()
    # It was slow and not dead: when it ended, it took back what was counted of the stream that had used nothing.
    async with replica(records_url) as later:
        await later.call(1, 1)
        assert await later.spent(budget) == 70 + 1 + 1


async def used_is(one: Replica, tokens: int) -> bool:
    """Whether the rows of all leases say that their streams have used so much."""
    async with one.database.read() as connection:
        used = await connection.exec_driver_sql("SELECT COALESCE(SUM(used), 0) FROM budget_grants")
        return int(used.scalar_one()) == tokens


async def expire(one: Replica) -> None:
    """Leases that were not renewed in time: a second passes at once."""
    async with one.database.write() as connection:
        await connection.exec_driver_sql("UPDATE budget_grants SET expires = 1")


async def test_a_stream_beyond_its_lease_asks_before_it_goes_on(postgres_server: Postgres, postgres_url: str) -> None:
    async with replica(postgres_url, lease=1.0, timeout=1.0, writer_patience=0.5) as one:
        await one.budget(1_000)
        reservation = await one.budgets.reserve(WHO, "rag", Cost(100))
        assert reservation.take(Cost(10))
        postgres_server.stop()
        async with asyncio.timeout(60):
            while reservation.take(Cost(10)):
                await asyncio.sleep(0.05)
        with pytest.raises(RecordsUnavailable):
            await reservation.extend(Cost(20))
        with pytest.raises(RecordsUnavailable):
            await one.budgets.reserve(WHO, "rag", Cost(1))
        postgres_server.start()
        assert await reservation.extend(Cost(20))
        await settle(reservation, 20)


async def test_the_books_are_right_after_the_database_was_gone(postgres_server: Postgres, postgres_url: str) -> None:
    async with replica(postgres_url, lease=2.0, timeout=1.0, writer_patience=0.5) as one:
        budget = await one.budget(10**9)
        used = refused = 0
        over = asyncio.Event()

        async def caller() -> None:
            nonlocal used, refused
            while not over.is_set():
                try:
                    reservation = await one.budgets.reserve(WHO, "rag", Cost(10))
                except RecordsUnavailable:
                    refused += 1
                    await asyncio.sleep(0.01)
                    continue
                used += 7
                try:
                    await settle(reservation, 7)
                except RecordsUnavailable:
                    refused += 1  # and is settled when the database is back

        callers = [asyncio.create_task(caller()) for _ in range(16)]
        for _ in range(2):
            postgres_server.stop()
            before = refused
            async with asyncio.timeout(20):
                while refused < before + 20:
                    await asyncio.sleep(0.05)
            postgres_server.start()
            before = used
            async with asyncio.timeout(20):
                while used < before + 700:
                    await asyncio.sleep(0.05)
        over.set()
        await asyncio.gather(*callers)
        async with asyncio.timeout(20):
            while (await one.usage.total(UsageFilter())).prompt_tokens != used:
                await asyncio.sleep(0.05)
        assert await one.spent(budget) == used
        calls = [row async for row in one.usage.each_call(UsageFilter())]
        assert sum(row.prompt_tokens for row in calls) == used
        async with asyncio.timeout(60):
            while await one.held(budget):
                await asyncio.sleep(0.1)
        assert await one.spent(budget) == used
