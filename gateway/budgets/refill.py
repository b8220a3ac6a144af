"""Getting more of a budget: one request for each grant at a time, and patience while others may give something back."""

import asyncio
import time

from gateway.budgets import metrics
from gateway.budgets.errors import BudgetExceeded
from gateway.budgets.grant import Grant, Hold
from gateway.budgets.ledger import Lease, Ledger

# How long a refusal stands for those who come after it.
REMEMBERED_SECONDS = 0.25
PAUSE_SECONDS = 0.1
# Who asks more often than this gets more at a time; at first, as much again as for so many calls.
OFTEN_SECONDS = 1.0
AHEAD = 16


class Refill:
    """`patience`: seconds that a call waits for what other replicas hold and do not use."""

    def __init__(self, ledger: Ledger, patience: float) -> None:
        self._ledger = ledger
        self._patience = patience
        self._tasks: set[asyncio.Task[Lease]] = set()

    async def obtain(self, hold: Hold, amount: int) -> None:
        """Make the hold as large as `amount`. Raises BudgetExceeded, RecordsUnavailable."""
        grant, need = hold.grant, amount - hold.amount
        grant.waiting += need
        try:
            async with grant.lock:
                await self._obtain(hold, amount, need)
        finally:
            grant.waiting -= need

    async def aclose(self) -> None:
        """Wait for requests under way."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _obtain(self, hold: Hold, amount: int, need: int) -> None:
        grant = hold.grant
        if hold.reserve(amount, time.monotonic()):
            return
        if time.monotonic() < grant.refused_until and need >= grant.refused:
            raise self._refusal(grant, grant.left)
        until = time.monotonic() + self._patience
        while True:
            lease = await self._ask(grant, need)
            now = time.monotonic()
            if hold.reserve(amount, now):
                return
            # What was given may have gone to a call that came at that moment.
            if now > until or not (lease.given or lease.left + lease.elsewhere >= lease.short):
                grant.refused, grant.refused_until, grant.left = need, now + REMEMBERED_SECONDS, lease.left
                raise self._refusal(grant, lease.left)
            if not lease.given:
                await asyncio.sleep(PAUSE_SECONDS)

    async def _ask(self, grant: Grant, need: int) -> Lease:
        """What is leased is counted, even where the caller leaves meanwhile."""
        now = time.monotonic()
        grant.ahead = max(AHEAD * need, 2 * grant.ahead if now - grant.asked < OFTEN_SECONDS else grant.ahead // 2)
        grant.asked = now
        task = asyncio.create_task(self._ledger.ask(grant, need))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        lease = await asyncio.shield(task)
        metrics.LEASES.labels("given" if lease.given else "refused").inc()
        return lease

    def _refusal(self, grant: Grant, left: int) -> BudgetExceeded:
        metrics.EXCEEDED.labels(grant.budget.scope, grant.budget.unit).inc()
        return BudgetExceeded(grant.budget, grant.period, left)
