"""Making alerts known: a warning in the log, a metric, and a POST to an address that the operator gave."""

import asyncio
import logging
from contextlib import suppress

import httpx

from gateway.budgets import metrics
from gateway.budgets.alert import Alert
from gateway.budgets.store import BudgetStore
from services.runtime.records.errors import RecordsUnavailable

log = logging.getLogger(__name__)
PAUSES = (0.5, 1.0, 2.0, 4.0)
WAITING = 1000
# So long after somebody began to make an alert known without an end, somebody else does.
ABANDONED_SECONDS = 60.0


class Notifier:
    """`url`: where alerts are posted as JSON; empty posts none. `deadline`: seconds for one attempt."""

    def __init__(self, store: BudgetStore, url: str = "", deadline: float = 5.0) -> None:
        self._store = store
        self._url = url
        self._queue: asyncio.Queue[Alert] = asyncio.Queue(WAITING)
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

    def put(self, alert: Alert) -> None:
        """Make it known soon. Where too many wait it is found in the database later."""
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
            await self._tell(alert)

    async def _take_up(self) -> None:
        """Alerts that a process wrote and died before it made them known."""
        with suppress(RecordsUnavailable):
            for alert in await self._store.claim_alerts(ABANDONED_SECONDS):
                self.put(alert)

    async def _tell(self, alert: Alert) -> None:
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
            await self._store.alert_told(alert)

    async def _post(self, client: httpx.AsyncClient, alert: Alert) -> None:
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


def body(alert: Alert) -> dict[str, object]:
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
