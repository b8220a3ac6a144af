"""Shares of a budget that raise an alert, once for each period, whichever replica does it.

An alert is a warning in the log, a metric, and a POST to an address that the operator gave.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from contextlib import suppress

import httpx
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.budgets import metrics
from gateway.budgets.lease import BudgetLease
from gateway.budgets.model import BudgetAlert
from gateway.budgets.store import BudgetStore
from gateway.budgets.tables import ALERTS
from services.runtime.records.errors import RecordsUnavailable
from services.runtime.records.upsert import insert_new

PERCENTS = (50, 80, 100)
KNOWN = 100_000
log = logging.getLogger(__name__)
PAUSES = (0.5, 1.0, 2.0, 4.0)
WAITING = 1000
# So long after somebody began to send an alert without an end, somebody else does.
ABANDONED_SECONDS = 60.0


class AlertBook:
    """Remembers which alerts there are, so that the database is asked for new ones only."""

    def __init__(self) -> None:
        self._known: set[tuple[str, str, int]] = set()

    async def reached(self, connection: AsyncConnection, lease: BudgetLease, spent: int) -> Sequence[BudgetAlert]:
        """Write the alerts that are due now that so much is spent; those that nobody wrote before."""
        now = time.time()
        due = [
            BudgetAlert(lease.budget, lease.period, percent, spent, now)
            for percent in PERCENTS
            if spent * 100 >= percent * lease.budget.amount
        ]
        return [alert for alert in due if alert.key not in self._known and await self._write(connection, alert)]

    def remember(self, alert: BudgetAlert) -> None:
        """It is in the database."""
        if len(self._known) >= KNOWN:
            self._known.clear()
        self._known.add(alert.key)

    async def _write(self, connection: AsyncConnection, alert: BudgetAlert) -> bool:
        """False where it was there already."""
        budget = alert.budget
        row = {
            "budget": budget.id,
            "period": alert.period,
            "percent": alert.percent,
            "tenant": budget.tenant,
            "spent": alert.spent,
            "amount": budget.amount,
            "time": alert.time,
            "claimed": alert.time,
        }
        written = await connection.execute(insert_new(ALERTS).values(**row))
        if not written.rowcount:
            self.remember(alert)
        return bool(written.rowcount)


class AlertNotifier:
    """`url`: where alerts are posted as JSON; empty posts none. `deadline`: seconds for one attempt."""

    def __init__(self, store: BudgetStore, url: str = "", deadline: float = 5.0) -> None:
        self._store = store
        self._url = url
        self._queue: asyncio.Queue[BudgetAlert] = asyncio.Queue(WAITING)
        self._client = httpx.AsyncClient(timeout=deadline) if url else None
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        self._task = asyncio.create_task(self._run(), name="budget-alerts")

    async def aclose(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        if self._client is not None:
            await self._client.aclose()

    def put(self, alert: BudgetAlert) -> None:
        """Send it soon. Where too many wait it is read from the database later."""
        with suppress(asyncio.QueueFull):
            self._queue.put_nowait(alert)

    async def _run(self) -> None:
        while True:
            try:
                async with asyncio.timeout(ABANDONED_SECONDS / 2):
                    alert = await self._queue.get()
            except TimeoutError:
                await self._take_up()
                continue
            await self._send(alert)

    async def _take_up(self) -> None:
        """Alerts that a process wrote and died before it sent them."""
        with suppress(RecordsUnavailable):
            for alert in await self._store.claim_alerts(ABANDONED_SECONDS):
                self.put(alert)

    async def _send(self, alert: BudgetAlert) -> None:
        budget = alert.budget
        log.warning(
            "a budget reached %d per cent",
            alert.percent,
            extra={"budget": budget.id, "budget_period": alert.period, "tenant": budget.tenant, "scope": budget.scope,
                   "scope_id": budget.scope_id, "unit": budget.unit, "spent": alert.spent, "limit": budget.amount},
        )  # fmt: skip
        metrics.ALERTS.labels(str(alert.percent)).inc()
        if self._client is not None:
            await self._post(self._client, alert)
        with suppress(RecordsUnavailable):
            await self._store.alert_sent(alert)

    async def _post(self, client: httpx.AsyncClient, alert: BudgetAlert) -> None:
        for pause in (*PAUSES, None):
            try:
                (await client.post(self._url, json=body(alert))).raise_for_status()
            except httpx.HTTPError as error:
                if pause is None:
                    log.error("an alert was not posted", extra={"error": type(error).__name__})  # noqa: TRY400
                    return
                await asyncio.sleep(pause)
            else:
                return


def body(alert: BudgetAlert) -> dict[str, object]:
    """What is posted."""
    budget = alert.budget
    return {
        "event": "budget_alert",
        "budget": budget.id,
        "tenant": budget.tenant,
        "scope": budget.scope,
        "scope_id": budget.scope_id,
        "period": alert.period,
        "unit": budget.unit,
        "limit": budget.amount,
        "spent": alert.spent,
        "percent": alert.percent,
        "time": alert.time,
    }
