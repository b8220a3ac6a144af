"""An ended call, as it is handed to the writer, and what changes in memory once it is written."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from gateway.budgets.alert import Alert
from gateway.budgets.grant import Grant
from gateway.usage.record import Usage
from gateway.usage.unsettled import OpenCall


@dataclass(frozen=True, slots=True)
class Charge:
    """`used` becomes spent, and `taken` is taken from the grant. `streamed`: what the grant counts as used of it."""

    grant: Grant
    used: int
    taken: int
    streamed: int = 0


@dataclass(frozen=True, slots=True)
class Row:
    """A grant's row as it was written: what streams have `used`, and until when it is good. `restored`: the row was
    gone, and this is all that it holds."""

    used: int
    good_until: float
    restored: bool


@dataclass(frozen=True, slots=True)
class Effect:
    """What a batch did to a grant: `taken` is off its row; `owed` is spent, and more or less of it is still to be taken
    off."""

    grant: Grant
    taken: int = 0
    owed: int = 0
    row: Row | None = None

    def apply(self) -> None:
        grant = self.grant
        grant.pending -= self.taken
        grant.owed += self.owed
        if self.row is None:
            return
        grant.written = self.row.used
        grant.posted = time.monotonic()
        if self.row.restored:
            grant.held = self.row.used - grant.pending
        if grant.leased:
            grant.good_until = max(grant.good_until, self.row.good_until)


@dataclass(slots=True, eq=False)
class Settlement:
    """An ended call; without usage, the renewal of grants. `call`: what it was while under way; `under_way`: calls of
    which is said what they have used so far. `tried`: it may have been committed without an answer. `alerts` and
    `effects` are those of the batch that it was written with."""

    usage: Usage | None
    charges: Sequence[Charge]
    call: OpenCall | None = None
    under_way: Sequence[OpenCall] = ()
    tried: bool = False
    alerts: list[Alert] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)

    @property
    def call_id(self) -> str:
        """The id of the row that the call had while under way; empty where it had none."""
        return self.call.id if self.call is not None else ""

    def begin(self) -> None:
        """It is to be written, perhaps once more."""
        self.tried = True
        self.alerts.clear()
        self.effects.clear()

    def committed(self) -> None:
        """Take what was written out of what is to be written."""
        for charge in self.charges:
            charge.grant.used -= charge.streamed
        for effect in self.effects:
            effect.apply()

    def abandoned(self) -> None:
        """It was not written and will not be."""
        for charge in self.charges:
            charge.grant.used -= charge.streamed
            charge.grant.pending -= charge.taken

    def undone(self) -> None:
        """It was not written and will not be: have what it would have given back."""
        for charge in self.charges:
            charge.grant.held += charge.taken
            charge.grant.pending -= charge.taken
