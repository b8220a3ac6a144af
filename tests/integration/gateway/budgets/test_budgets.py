"""Reserve before, count while, settle after."""

import asyncio
import time
from contextlib import AsyncExitStack

import pytest
from prometheus_client import REGISTRY

from gateway.budgets.errors import BudgetExceeded
from gateway.budgets.model import Calendar, Cost, Period, Scope, Unit
from gateway.budgets.reservation import Reservation
from gateway.usage.store import UsageFilter
from services.runtime.identity import Identity
from tests.fakes.serving import until
from tests.integration.gateway.budgets.replicas import WHO, Replica, replica, settle


async def test_what_is_used_is_spent(records_url: str) -> None:
    async with replica(records_url) as one:
        budget = await one.budget(1_000)
        reservation = await one.budgets.reserve(WHO, "rag", Cost(100))
        assert reservation.take(Cost(60))
        await settle(reservation, 70)
        assert await one.spent(budget) == 70


async def test_a_caller_without_budgets_asks_nobody(records_url: str) -> None:
    async with replica(records_url) as one:
        await one.budget(0, Scope.KEY, "key_2")
        reservation = await one.budgets.reserve(WHO, "rag", Cost(10**9))
        assert reservation.take(Cost(10**12))
        await settle(reservation, 5)
        assert [row.prompt_tokens for row in (await one.usage.calls(UsageFilter()))[0]] == [5]


async def test_what_is_released_is_not_spent(records_url: str) -> None:
    async with replica(records_url) as one:
        budget = await one.budget(100)
        reservation = await one.budgets.reserve(WHO, "rag", Cost(100))
        with pytest.raises(BudgetExceeded):
            await one.budgets.reserve(WHO, "rag", Cost(100))
        reservation.release()
        reservation.release()
        await one.call(100, 100)
        assert await one.spent(budget) == 100


async def test_a_refusal_names_the_budget_and_when_it_begins_anew(records_url: str) -> None:
    async with replica(records_url) as one:
        budget = await one.budget(100)
        with pytest.raises(BudgetExceeded, match="100 tokens a month of tenant 'acme'") as refused:
            await one.call(101, 101)
        assert refused.value.details["budget"] == budget.id
        assert refused.value.details["left"] == "100"
        assert 0 < (refused.value.retry_after or 0) <= 31 * 86_400


@pytest.mark.parametrize(
    ("scope", "scope_id", "refused"),
    [
        (Scope.TENANT, "acme", True),
        (Scope.PROJECT, "web", True),
        (Scope.KEY, "key_1", True),
        (Scope.AGENT, "rag", True),
        (Scope.PROJECT, "app", False),
        (Scope.KEY, "key_2", False),
        (Scope.AGENT, "chat", False),
    ],
)
async def test_whose_use_counts(records_url: str, scope: Scope, scope_id: str, refused: bool) -> None:
    async with replica(records_url) as one:
        await one.budget(10, scope, scope_id)
        assert await refuses(one, 11) == refused


async def test_another_tenant_is_not_counted(records_url: str) -> None:
    async with replica(records_url) as one:
        budget = await one.budget(10, Scope.AGENT, "rag")
        await one.call(50, 50, Identity("other", "bob", key="key_1", project="web"))
        assert await one.spent(budget) == 0


async def test_money_is_counted_beside_tokens(records_url: str) -> None:
    async with replica(records_url) as one:
        tokens = await one.budget(1_000)
        money = await one.budget(500, unit=Unit.MONEY)
        await settle(await one.budgets.reserve(WHO, "rag", Cost(10, 20)), 10, nanos=25)
        assert (await one.spent(tokens), await one.spent(money)) == (10, 25)
        with pytest.raises(BudgetExceeded, match="in money"):
            await one.budgets.reserve(WHO, "rag", Cost(10, 476))
        await settle(await one.budgets.reserve(WHO, "rag", Cost(990, 0)), 990)


async def test_a_refusal_of_one_budget_holds_nothing_of_the_others(records_url: str) -> None:
    async with replica(records_url) as one:
        await one.budget(10)
        await one.budget(5, Scope.TENANT, unit=Unit.MONEY)
        with pytest.raises(BudgetExceeded):
            await one.budgets.reserve(WHO, "rag", Cost(10, 6))
        await one.call(10, 10)


async def test_a_stream_grows_until_the_budget_is_over(records_url: str) -> None:
    async with replica(records_url) as one:
        budget = await one.budget(100)
        reservation = await one.budgets.reserve(WHO, "rag", Cost(10))
        used = 0
        while True:
            used += 7
            if not reservation.take(Cost(used)) and not await reservation.extend(Cost(used)):
                break
        assert reservation.refusal is not None
        await settle(reservation, used)
        assert used == 105  # one chunk beyond
        assert await one.spent(budget) == 105
        assert await refuses(one, 1)


async def test_a_hundred_streams_overrun_by_a_chunk_each_at_most(records_url: str) -> None:
    chunk, streams, amount = 3, 100, 2_000
    async with AsyncExitStack() as stack:
        replicas = [await stack.enter_async_context(replica(records_url, f"gateway-{n}")) for n in range(2)]
        budget = await replicas[0].budget(amount)
        await replicas[1].budgets.reload()

        async def stream(reservation: Reservation) -> None:
            used = 0
            while True:
                used += chunk
                if not reservation.take(Cost(used)) and not await reservation.extend(Cost(used)):
                    return await settle(reservation, used)
                await asyncio.sleep(0)

        opened = [await replicas[n % 2].budgets.reserve(WHO, "rag", Cost(10)) for n in range(streams)]
        await asyncio.gather(*(stream(reservation) for reservation in opened))
        assert amount - streams * chunk <= await replicas[0].spent(budget) <= amount + streams * chunk


@pytest.mark.parametrize("count", [1, 3])
async def test_a_thousand_parallel_reservations_never_pass_the_limit(records_url: str, count: int) -> None:
    amount, estimate = 5_000, 10
    async with AsyncExitStack() as stack:
        replicas = [
            await stack.enter_async_context(replica(records_url, f"gateway-{n}", patience=5.0)) for n in range(count)
        ]
        budget = await replicas[0].budget(amount)
        for one in replicas:
            await one.budgets.reload()
        answers = await asyncio.gather(
            *(replicas[n % count].budgets.reserve(WHO, "rag", Cost(estimate)) for n in range(1_000)),
            return_exceptions=True,
        )
        let_in = [answer for answer in answers if not isinstance(answer, BaseException)]
        assert all(isinstance(answer, BudgetExceeded) for answer in answers if isinstance(answer, BaseException))
        assert len(let_in) * estimate <= amount
        assert len(let_in) == amount // estimate  # and none is left lying about
        await asyncio.gather(*(settle(reservation, estimate) for reservation in let_in))
        assert await replicas[0].spent(budget) == amount
        assert await refuses(replicas[-1], 1)


async def test_calls_of_several_replicas_use_a_budget_to_its_end(records_url: str) -> None:
    amount = 600
    async with AsyncExitStack() as stack:
        replicas = [
            await stack.enter_async_context(replica(records_url, f"gateway-{n}", patience=3.0)) for n in range(2)
        ]
        budget = await replicas[0].budget(amount)
        await replicas[1].budgets.reload()

        async def caller(one: Replica) -> int:
            done = 0
            while True:
                try:
                    await one.call(10, 6)
                except BudgetExceeded:
                    return done
                done += 6

        used = sum(await asyncio.gather(*(caller(replicas[n % 2]) for n in range(10))))
        assert used == await replicas[0].spent(budget)
        assert amount - 10 < used <= amount


async def test_idle_grants_are_given_back(records_url: str) -> None:
    async with replica(records_url) as one:
        budget = await one.budget(100_000)
        await one.call(10, 10)
        assert await one.held(budget) > 0
        async with asyncio.timeout(60):
            while await one.held(budget):
                await asyncio.sleep(0.05)
        assert await one.spent(budget) == 10


async def test_a_replica_waits_for_what_another_does_not_use(records_url: str) -> None:
    async with replica(records_url, "a") as one, replica(records_url, "b", patience=5.0) as other:
        budget = await one.budget(1_000)
        await other.budgets.reload()
        await one.call(10, 10)
        assert await one.held(budget) > 0
        await other.call(990, 990)
        assert await one.spent(budget) == 1_000


async def test_a_changed_amount_counts_at_once(records_url: str) -> None:
    async with replica(records_url) as one:
        budget = await one.budget(10)
        await one.call(10, 10)
        assert await refuses(one, 5)
        await one.store.change(budget.id, 15)
        await one.budgets.reload()
        await one.call(5, 5)
        assert await refuses(one, 1)


async def test_a_deleted_budget_stops_nobody(records_url: str) -> None:
    async with replica(records_url) as one:
        budget = await one.budget(10)
        reservation = await one.budgets.reserve(WHO, "rag", Cost(10))
        await one.store.delete(budget.id)
        await settle(reservation, 10)
        await one.budgets.reload()
        await one.call(100, 100)
        assert len((await one.usage.calls(UsageFilter()))[0]) == 2


async def test_a_caller_that_leaves_leaves_nothing_behind(records_url: str) -> None:
    async with replica(records_url) as one:
        budget = await one.budget(100)
        for _ in range(20):
            asking = asyncio.create_task(one.budgets.reserve(WHO, "rag", Cost(100)))
            await asyncio.sleep(0)
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
            if not asking.cancelled():
                asking.result().release()
        await one.call(100, 100)
        assert await one.spent(budget) == 100
        # What no call holds is given back and forgotten.
        for grants in (1, 0):
            await until(lambda: REGISTRY.get_sample_value("headworks_gateway_budget_grants") == grants)  # noqa: B023
        assert await one.held(budget) == 0


async def test_a_caller_that_leaves_while_it_is_settled_is_settled(records_url: str) -> None:
    async with replica(records_url) as one:
        budget = await one.budget(100)
        for _ in range(5):
            settling = asyncio.create_task(settle(await one.budgets.reserve(WHO, "rag", Cost(20)), 10))
            await asyncio.sleep(0)
            settling.cancel()
            await asyncio.gather(settling, return_exceptions=True)
            assert settling.cancelled()
        async with asyncio.timeout(60):
            while await one.spent(budget) != 50 or await one.held(budget):
                await asyncio.sleep(0.05)
        await one.call(50, 50)


async def test_a_period_begins_anew_and_a_call_belongs_to_the_one_it_began_in(records_url: str) -> None:
    now = time.time()
    async with replica(records_url, calendar=Calendar(lambda: now)) as one:
        budget = await one.budget(100, period=Period.DAY)
        late = await one.budgets.reserve(WHO, "rag", Cost(60))
        assert await refuses(one, 50)
        now += 86_400
        await one.call(100, 100)
        assert await refuses(one, 1)
        await settle(late, 60)
        assert await one.spent(budget) == 60


async def test_a_stream_that_is_released_leaves_nothing_spent(records_url: str) -> None:
    async with replica(records_url, lease=1.0) as one:
        budget = await one.budget(100)
        stream = await one.budgets.reserve(WHO, "rag", Cost(100))
        stream.take(Cost(60))
        async with asyncio.timeout(60):
            while await used_by_streams(one) != 60:
                await asyncio.sleep(0.05)
            stream.release()
            while await used_by_streams(one):
                await asyncio.sleep(0.05)
        await one.call(100, 100)
        assert await one.spent(budget) == 100


async def used_by_streams(one: Replica) -> int:
    async with one.database.read() as connection:
        return int((await connection.exec_driver_sql("SELECT COALESCE(SUM(used), 0) FROM budget_grants")).scalar_one())


async def refuses(one: Replica, estimate: int) -> bool:
    try:
        (await one.budgets.reserve(WHO, "rag", Cost(estimate))).release()
    except BudgetExceeded:
        return True
    return False
