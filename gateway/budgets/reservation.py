"""What a call has reserved of the budgets that it counts under, and how a lease gets more for it."""

import asyncio
import time
from collections.abc import Callable, Sequence

from gateway.budgets import metrics
from gateway.budgets.errors import BudgetExceeded
from gateway.budgets.lease import BudgetLease, BudgetReservation
from gateway.budgets.ledger import LeaseExtension, Ledger
from gateway.budgets.model import Cost, Unit
from gateway.budgets.settlement import Charge, Settlement
from gateway.usage.record import Usage
from gateway.usage.writing import OpenCall
from services.runtime.records.writer import Put

# How long a refusal stands for those who come after it.
REMEMBERED_SECONDS = 0.25
PAUSE_SECONDS = 0.1
# Who asks more often than this gets more at a time; at first, as much again as for so many calls.
OFTEN_SECONDS = 1.0
AHEAD = 16
Settle = Callable[[Settlement, Sequence[Put]], "asyncio.Future[None]"]
Follow = Callable[[OpenCall], None]


class Refill:
    """`patience`: seconds that a call waits for what other replicas hold and do not use."""

    def __init__(self, ledger: Ledger, patience: float) -> None:
        self._ledger = ledger
        self._patience = patience
        self._tasks: set[asyncio.Task[LeaseExtension]] = set()

    async def obtain(self, reservation: BudgetReservation, amount: int) -> None:
        """Make the reservation as large as `amount`. Raises BudgetExceeded, RecordsUnavailable."""
        lease, need = reservation.lease, amount - reservation.amount
        lease.waiting += need
        try:
            async with lease.lock:
                await self._obtain(reservation, amount, need)
        finally:
            lease.waiting -= need

    async def aclose(self) -> None:
        """Wait for requests under way."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _obtain(self, reservation: BudgetReservation, amount: int, need: int) -> None:
        lease = reservation.lease
        if reservation.reserve(amount, time.monotonic()):
            return
        if time.monotonic() < lease.refused_until and need >= lease.refused:
            raise self._refusal(lease, lease.left)
        until = time.monotonic() + self._patience
        while True:
            extension = await self._ask(lease, need)
            now = time.monotonic()
            if reservation.reserve(amount, now):
                return
            # What was given may have gone to a call that came at that moment.
            if now > until or not (extension.given or extension.left + extension.elsewhere >= extension.short):
                lease.refused, lease.refused_until, lease.left = need, now + REMEMBERED_SECONDS, extension.left
                raise self._refusal(lease, extension.left)
            if not extension.given:
                await asyncio.sleep(PAUSE_SECONDS)

    async def _ask(self, lease: BudgetLease, need: int) -> LeaseExtension:
        """What is leased is counted, even where the caller leaves meanwhile."""
        now = time.monotonic()
        lease.ahead = max(AHEAD * need, 2 * lease.ahead if now - lease.asked < OFTEN_SECONDS else lease.ahead // 2)
        lease.asked = now
        task = asyncio.create_task(self._ledger.ask(lease, need))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        extension = await asyncio.shield(task)
        lease.left = extension.left
        metrics.LEASES.labels("given" if extension.given else "refused").inc()
        return extension

    def _refusal(self, lease: BudgetLease, left: int) -> BudgetExceeded:
        metrics.EXCEEDED.labels(lease.budget.scope, lease.budget.unit).inc()
        return BudgetExceeded(lease.budget, lease.period, left)


class Reservation:
    """Held by one call from its admission to its end. One of `settle` and `release` must be called."""

    __slots__ = ("_call", "_follow", "_refill", "_reservations", "_settle", "refusal")

    def __init__(
        self, reservations: Sequence[BudgetReservation], refill: Refill, settle: Settle, follow: Follow
    ) -> None:
        self._reservations = reservations
        self._refill = refill
        self._settle = settle
        self._follow = follow
        self._call: OpenCall | None = None
        self.refusal: BudgetExceeded | None = None

    def follow(self, so_far: Callable[[], Usage]) -> None:
        """Have it written from time to time what the call has used so far, for the case that this process dies."""
        self._call = OpenCall(so_far)
        self._follow(self._call)

    def take(self, used: Cost) -> bool:
        """Count what was used so far, as a running total. False where the process holds too little: `extend` then."""
        covered = True
        if self._call is not None and used.tokens:
            self._call.counted = True
        for reservation in self._reservations:
            covered = reservation.grow(used.of(reservation.lease.budget.unit)) and covered
        return covered

    def left(self, unit: Unit) -> int | None:
        """What the call may use in all by what its budgets of a unit were last known to have; None where it has
        none."""
        now = time.monotonic()
        found = [
            reservation.amount + max(0, reservation.lease.free(now)) + reservation.lease.left
            for reservation in self._reservations
            if reservation.lease.budget.unit is unit
        ]
        return min(found, default=None)

    async def extend(self, used: Cost) -> bool:
        """Get more, for a call that has used so much. False where a budget is over, which `refusal` names: the stream
        ends. Raises RecordsUnavailable."""
        if self.take(used):
            return True
        for reservation in self._reservations:
            if not reservation.grow(reservation.used):
                try:
                    await self._refill.obtain(reservation, max(reservation.used, reservation.amount))
                except BudgetExceeded as error:
                    self.refusal = error
                    return False
        return True

    def settle(self, used: Cost, usage: Usage, beside: Sequence[Put] = ()) -> "asyncio.Future[None]":
        """End with what was used in all; done once it is committed, with the row of usage and what is put beside it.
        Where the future has RecordsUnavailable, it is tried again for as long as this process lives."""
        charges = []
        for reservation in self._reservations:
            amount = used.of(reservation.lease.budget.unit)
            charges.append(Charge(reservation.lease, amount, reservation.settle(amount), reservation.used))
        self._reservations = ()
        return self._settle(Settlement(usage, charges, self._close()), beside)

    def release(self) -> None:
        """End with nothing used. Does nothing after `settle`."""
        for reservation in self._reservations:
            reservation.release()
        self._reservations = ()
        call = self._close()
        if call is not None and call.id:
            self._settle(Settlement(None, (), call), ())

    def _close(self) -> OpenCall | None:
        """The call, once."""
        call, self._call = self._call, None
        if call is not None:
            call.closed = True
        return call
