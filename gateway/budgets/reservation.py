"""What a call has reserved of the budgets that it counts under."""

import asyncio
from collections.abc import Callable, Sequence

from gateway.budgets.budget import Cost
from gateway.budgets.errors import BudgetExceeded
from gateway.budgets.grant import Hold
from gateway.budgets.refill import Refill
from gateway.budgets.settlement import Charge, Settlement
from gateway.usage.record import Usage
from gateway.usage.writing import OpenCall
from services.runtime.records.writer import Put

Settle = Callable[[Settlement, Sequence[Put]], "asyncio.Future[None]"]
Follow = Callable[[OpenCall], None]


class Reservation:
    """Held by one call from its admission to its end. One of `settle` and `release` must be called."""

    __slots__ = ("_call", "_follow", "_holds", "_refill", "_settle", "refusal")

    def __init__(self, holds: Sequence[Hold], refill: Refill, settle: Settle, follow: Follow) -> None:
        self._holds = holds
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
        for hold in self._holds:
            covered = hold.grow(used.of(hold.grant.budget.unit)) and covered
        return covered

    async def extend(self, used: Cost) -> bool:
        """Get more, for a call that has used so much. False where a budget is over, which `refusal` names: the stream
        ends. Raises RecordsUnavailable."""
        if self.take(used):
            return True
        for hold in self._holds:
            if not hold.grow(hold.used):
                try:
                    await self._refill.obtain(hold, max(hold.used, hold.amount))
                except BudgetExceeded as error:
                    self.refusal = error
                    return False
        return True

    def settle(self, used: Cost, usage: Usage, beside: Sequence[Put] = ()) -> "asyncio.Future[None]":
        """End with what was used in all; done once it is committed, with the row of usage and what is put beside it.
        Where the future has RecordsUnavailable, it is tried again for as long as this process lives."""
        charges = []
        for hold in self._holds:
            amount = used.of(hold.grant.budget.unit)
            charges.append(Charge(hold.grant, amount, hold.settle(amount), hold.used))
        self._holds = ()
        return self._settle(Settlement(usage, charges, self._close()), beside)

    def release(self) -> None:
        """End with nothing used. Does nothing after `settle`."""
        for hold in self._holds:
            hold.release()
        self._holds = ()
        call = self._close()
        if call is not None and call.id:
            self._settle(Settlement(None, (), call), ())

    def _close(self) -> OpenCall | None:
        """The call, once."""
        call, self._call = self._call, None
        if call is not None:
            call.closed = True
        return call
