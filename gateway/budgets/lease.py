"""What this process may spend of a budget without asking, and what its calls have reserved of that.

All of it is plain arithmetic in memory; nothing here waits.
"""

import asyncio
import time
from dataclasses import dataclass, field

from gateway.budgets.model import Budget


@dataclass(slots=True, eq=False)
class BudgetLease:
    """A part of one period of a budget.

    `held`: what is leased from the database and not taken by calls that were settled. `reserved`: what open calls hold
    of it. `used`: what streams had used when they last said so, until their settlement is committed. `pending`: what
    settlements and returns will take from the row in the database, so that the row has held + pending. `owed`: the part
    of that which is committed as spent, and is taken from the row a little later. `written`: `used`, as the row has it.

    `waiting`: what calls wait for. `refused`: the least that was refused. `left`: what nobody had of the budget when
    more was last asked for. `ahead`: how
    much more is leased than is short, so that about a second's calls need not ask. Times are those of the monotonic
    clock: `good_until` the end of the lease, `touched` when something was last reserved or leased, `posted` when the
    row was last written, `asked` when more was last asked for, `refused_until` when to ask again.
    """

    budget: Budget
    period: str
    held: int = 0
    reserved: int = 0
    used: int = 0
    pending: int = 0
    owed: int = 0
    written: int = 0
    waiting: int = 0
    open: int = 0
    leased: bool = False
    good_until: float = 0.0
    touched: float = 0.0
    posted: float = 0.0
    refused_until: float = 0.0
    refused: int = 0
    ahead: int = 0
    asked: float = 0.0
    left: int = 0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def free(self, now: float) -> int:
        """What may be reserved at once; less than nothing where calls hold more than there is."""
        return self.held - self.reserved if now < self.good_until else min(0, self.held - self.reserved)

    @property
    def busy(self) -> bool:
        """Calls hold something, or something is to be written."""
        return bool(self.open or self.pending or self.used or self.waiting or self.overstated)

    @property
    def overstated(self) -> bool:
        """The row tells of streams that have ended with nothing used."""
        return self.leased and self.written > self.used


@dataclass(slots=True, eq=False)
class BudgetReservation:
    """What one call holds of a lease: `amount` is reserved for it, `used` what it has used so far."""

    lease: BudgetLease
    amount: int = 0
    used: int = 0
    closed: bool = False

    def reserve(self, amount: int, now: float) -> bool:
        """Hold so much, if it is free."""
        lease = self.lease
        more = amount - self.amount
        if more > lease.free(now) or now >= lease.good_until:
            return False
        self.amount = amount
        lease.reserved += more
        lease.touched = now
        return True

    def grow(self, used: int) -> bool:
        """Count what the call has used so far. False where that is more than it can hold without asking."""
        self.lease.used += used - self.used
        self.used = used
        if not used:
            return True
        now = time.monotonic()
        if used <= self.amount and now < self.lease.good_until:
            return True
        return self.reserve(max(used, self.amount), now)

    def settle(self, used: int) -> int:
        """End with what was used in all; gives what of the lease it takes. `used` stays as the lease counts it."""
        lease = self.lease
        self._close()
        taken = max(0, min(used, lease.held))
        lease.held -= taken
        lease.pending += taken
        return taken

    def release(self) -> None:
        """End with nothing used."""
        if not self.closed:
            self.lease.used -= self.used
            self.used = 0
            self._close()

    def _close(self) -> None:
        if not self.closed:
            self.lease.reserved -= self.amount
            self.lease.open -= 1
            self.closed = True


def begin_reservation(lease: BudgetLease) -> BudgetReservation:
    """A new hold of nothing yet."""
    lease.open += 1
    return BudgetReservation(lease)
