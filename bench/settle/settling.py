"""A gateway's accounting without the rest of it: calls that reserve, and settle with usage, budgets and audit."""

import asyncio
import secrets
import threading
import time
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from gateway.audit.checkpoints import Checkpoints
from gateway.audit.entry import Actor, AuditEntry, Decision
from gateway.audit.log import AuditLog
from gateway.audit.seal import Seal
from gateway.audit.verify import Verifier
from gateway.budgets.alerts import AlertNotifier
from gateway.budgets.errors import BudgetExists
from gateway.budgets.model import Cost, Period, Scope, Unit
from gateway.budgets.service import Budgets
from gateway.budgets.store import BudgetStore
from gateway.schema.schema import SCHEMA
from gateway.usage.record import Spent, usage_of
from services.runtime.identity import Identity
from services.runtime.records.changes import Changes
from services.runtime.records.database import Database
from services.runtime.records.writer import Writer

WHO = Identity("acme", "ann", frozenset({"*"}), project="web", key="key_1")
ACTOR = Actor("acme", "ann", "key_1", "10.0.0.1")
ACTION = "POST /v1/chat/completions"
SETTLED = Spent("rag", model="rag", prompt_tokens=900, completion_tokens=100, cost_nanos=1_000, finish_reason="stop")
COST = Cost(1_000, 1_000)
PLENTY = 10**15
OPEN_SECONDS = 120.0
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Settled:
    """What one gateway settled, and the processor seconds that it took itself. `latencies` are in seconds."""

    calls: int
    seconds: float
    processor: float
    latencies: tuple[float, ...]


class SettlingGateway:
    """Made in a process of its own. All gateways serve one key, under one budget that is never used up."""

    def __init__(self, url: str, name: str, key: bytes) -> None:
        self._url, self._name, self._key = url, name, key
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self._do(self._open())

    def settle(self, callers: int, seconds: float) -> Settled:
        """Settle calls for so long, as many callers at a time."""
        return self._do(self._settle(callers, seconds), seconds)

    def sound(self) -> bool:
        """Whether the audit of all gateways stands its check."""
        return self._do(self._sound(), OPEN_SECONDS)

    def _do(self, work: Coroutine[Any, Any, T], seconds: float = 0.0) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(OPEN_SECONDS + seconds)

    async def _open(self) -> None:
        self._database = Database(self._url, SCHEMA, timeout=30)
        await self._database.open()
        writer, changes, seal = Writer(self._database), Changes(self._database), Seal(self._key)
        store = BudgetStore(self._database)
        self._check = seal.check
        self._audit = AuditLog(self._database, writer, changes, Checkpoints(self._database, seal), self._name)
        self._budgets = Budgets(self._database, writer, AlertNotifier(store), self._name)
        self._budgets.follow(changes)
        with suppress(BudgetExists):  # another gateway made it
            await store.create("acme", Scope.TENANT, "acme", Period.MONTH, Unit.TOKENS, PLENTY)
        await writer.open()
        await self._audit.open()
        await self._budgets.open()
        await changes.open()

    async def _sound(self) -> bool:
        return (await Verifier(self._database, self._check).verify()).sound

    async def _settle(self, callers: int, seconds: float) -> Settled:
        latencies: list[float] = []
        began, processor = time.perf_counter(), time.process_time()
        until = began + seconds
        await asyncio.gather(*(self._caller(until, latencies) for _ in range(callers)))
        took = time.perf_counter() - began
        return Settled(len(latencies), took, time.process_time() - processor, tuple(latencies))

    async def _caller(self, until: float, latencies: list[float]) -> None:
        while (began := time.perf_counter()) < until:
            reservation = await self._budgets.reserve(WHO, "rag", COST)
            entry = AuditEntry(ACTION, Decision.ALLOWED, ACTOR, model="rag", request_id=secrets.token_hex(8))
            await reservation.settle(COST, usage_of(WHO, SETTLED), [self._audit.put(entry)])
            latencies.append(time.perf_counter() - began)
