"""One call of a model or an agent, from its admission to its settlement: what it holds, and where it stands."""

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from gateway.budgets.errors import BudgetExceeded
from gateway.budgets.model import Cost, Unit
from gateway.budgets.reservation import Reservation
from gateway.cache.turn import NO_TURN, CacheTurn
from gateway.calls.background import BackgroundTasks
from gateway.calls.held import HeldStream
from gateway.calls.held_text import Screen
from gateway.calls.meter import Meter
from gateway.guard.finding import Finding
from gateway.limits.model import RateLimitDecision
from services.llm.price import MILLION, Price
from services.llm.route_report import RouteReport
from services.runtime.call import Call

CONTENT_FILTER, BUDGET = "content_filter", "budget"
"""The finish reasons of an answer that the gateway itself ends."""
# So long before the deadline a caller is told why there is no more: after it nothing can be told. A second, and of a
# short call a fifth.
NOTICE_SECONDS = 1.0
NOTICE_SHARE = 0.2


class CallState(StrEnum):
    """Where a call stands. A model that is never reached leads from ADMITTED to ABANDONED; every other call is settled,
    however it ends."""

    ADMITTED = "admitted"
    STREAMING = "streaming"
    FINISHED = "finished"
    SETTLED = "settled"
    ABANDONED = "abandoned"


@dataclass(slots=True, eq=False)
class ModelCall:
    """`model`: the model or agent, `models` those that the agent asks, the one that answers first.

    `texts` are what the caller sends, as it may be read. `screen` makes the screens of the answer's texts, None
    where nothing looks at them, and `held` is the answer as they hold it back. `guarded`: guards may change or stop it.
    `keeps`: texts and answer are put on record. `turn`: what the cache has for it, or wants of it. `write` settles the
    call; it is called once, or not at all where the model was never reached."""

    incoming: Call
    model: str
    texts: Sequence[str]
    meter: Meter
    ticket: RateLimitDecision
    reservation: Reservation
    write: Callable[["ModelCall"], Coroutine[Any, Any, None]]
    background: BackgroundTasks
    screen: Screen | None = None
    input_findings: Sequence[Finding] = ()
    guarded: bool = False
    keeps: bool = False
    state: CallState = CallState.ADMITTED
    finish_reason: str = ""
    held: HeldStream[Any, Any] | None = None
    answer: list[str] = field(default_factory=list)
    run_id: str = ""
    agent_version: int = 0
    collection: str = ""
    models: Sequence[str] = ()
    turn: CacheTurn = NO_TURN

    @property
    def asks(self) -> str:
        """The model that answers."""
        return self.models[0] if self.models else self.model

    @property
    def findings(self) -> list[Finding]:
        """The guards' findings in what the caller sent, and in the answer so far."""
        return [*self.input_findings, *(self.held.findings if self.held is not None else ())]

    @property
    def blocked(self) -> Finding | None:
        """The finding that has ended the answer."""
        return self.held.blocked if self.held is not None else None

    @property
    def unchanged(self) -> bool:
        """Whether no guard has acted on what was sent or answered: it may be given to others."""
        return not any(finding.acts for finding in self.findings)

    @property
    def finished(self) -> bool:
        """Whether its end is known: nothing more is counted."""
        return self.state in (CallState.FINISHED, CallState.SETTLED)

    @property
    def exceeded(self) -> BudgetExceeded:
        """The budget that has ended; after `extend` has refused."""
        if self.reservation.refusal is None:
            raise LookupError("no budget has ended")
        return self.reservation.refusal

    def begin(self) -> None:
        """The model answers: from now on the call has used something."""
        if self.state is CallState.ADMITTED:
            self.state = CallState.STREAMING

    def route(self, report: RouteReport, price: Price) -> None:
        """It was by a route that the model was found which answers, for this price."""
        self.meter.price = price
        self.incoming.headers["x-headworks-route"] = report.header
        self.incoming.notes["route"] = report.header

    def covered(self) -> bool:
        """Whether what is reserved suffices for what was used so far; `extend` it otherwise."""
        return self.reservation.take(Cost(self.meter.tokens, self.meter.cost_nanos))

    def room(self) -> int | None:
        """Tokens that the answer may have by what the budgets have left; None where nothing bounds it."""
        tokens, nanos = self.reservation.left(Unit.TOKENS), self.reservation.left(Unit.MONEY)
        rooms = [] if tokens is None else [tokens - self.meter.prompt_tokens]
        if nanos is not None and (dear := self.meter.price.output_nanos):
            rooms.append((nanos - self.meter.cost_nanos) * MILLION // dear)
        return min(rooms, default=None)

    async def extend(self) -> bool:
        """Reserve more. False where a budget has ended, and so has the answer."""
        return await self.reservation.extend(Cost(self.meter.tokens, self.meter.cost_nanos))

    def finish(self, reason: str) -> None:
        """The answer has its end, for `reason`: the model's own, or CONTENT_FILTER, BUDGET, "error" or "cancelled"."""
        self.state, self.finish_reason = CallState.FINISHED, reason

    async def settle(self) -> None:
        """Write what was used: durable on return. Does nothing the second time."""
        if self.state is not CallState.SETTLED:
            await self._settling()

    def _settling(self) -> Coroutine[Any, Any, None]:
        self.state = CallState.SETTLED
        return self.write(self)

    def close(self, reason: str) -> None:
        """See to the end of a call that nobody waits for any more; `reason` where it has no other. Settled in the
        background, or abandoned where the model was never reached."""
        self.turn.close(left=reason == "cancelled")
        if self.state is CallState.ADMITTED:
            self.state = CallState.ABANDONED
            self.reservation.release()
            self.ticket.correct(0)
            self.ticket.release()
        elif self.state in (CallState.STREAMING, CallState.FINISHED):
            self.finish_reason = self.finish_reason or reason
            self.incoming.audited = True  # when it is settled
            self.background.add(self._settling(), must=True)


def time_left(call: Call) -> float:
    """Seconds until the end has to be told, so that it comes before the deadline."""
    return call.remaining - min(NOTICE_SECONDS, NOTICE_SHARE * (call.deadline - call.started))
