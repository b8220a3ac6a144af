"""No gateway waits for another's commit, under one key and one budget, with usage and audit."""

import asyncio

from gateway.budgets.model import Cost
from gateway.budgets.settlement import Settlement
from gateway.usage.record import Spent, usage_of
from gateway.usage.store import UsageFilter
from tests.fakes.identity import Keys
from tests.fixtures.audit import entry, open_audit
from tests.integration.gateway.budgets.replicas import WHO, replica, settle


async def test_a_settlement_under_way_holds_no_other_up(postgres_url: str, keys: Keys) -> None:
    async with replica(postgres_url, "gateway-0") as slow, replica(postgres_url, "gateway-1") as quick:
        audits = [await open_audit(postgres_url, keys) for _ in range(2)]
        for audit in audits:
            await audit.fill(1)
        budget = await slow.budget(100_000)
        await quick.budgets.reload()
        reservations = [await one.budgets.reserve(WHO, "rag", Cost(10)) for one in (slow, quick)]
        usage = usage_of(WHO, Spent("rag", prompt_tokens=10))
        taken: list[Settlement] = []
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        reservations[0]._settle = lambda settlement, _: taken.append(settlement) or future  # type: ignore[func-returns-value]
        reservations[0].settle(Cost(10), usage)
        async with slow.database.write() as connection:
            await slow.budgets._leases._sink.write(connection, taken)
            await audits[0].log.append(connection, [entry()])
            async with asyncio.timeout(3):  # all of it is written by the first, and nothing committed
                await settle(reservations[1], 10)
                await audits[1].log.record(entry())
            assert (await quick.usage.total(UsageFilter())).prompt_tokens == 10
        taken[0].committed()
        assert (await quick.usage.total(UsageFilter())).prompt_tokens == 20
        assert await quick.spent(budget) == 20
        assert (await audits[0].verify()).sound
        for audit in audits:
            await audit.aclose()
