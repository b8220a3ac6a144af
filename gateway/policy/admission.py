"""A call of a model that was let in: what it holds, what it has done, and how its books are closed."""

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from headworks.orchestrator.v1 import run_event_pb2 as event_pb
from headworks.orchestrator.v1 import run_pb2

from gateway.budgets.errors import BudgetExceeded
from gateway.budgets.model import Cost
from gateway.budgets.reservation import Reservation
from gateway.guard.finding import Finding
from gateway.limits.model import RateLimitDecision
from gateway.policy.meter import Meter
from gateway.policy.screening import EventScreen
from gateway.policy.screens import Screens
from services.runtime.call import Call

Close = Callable[["Admission"], Coroutine[Any, Any, None]]


class Admission:
    """Made by Policy.admit. `texts` are what the caller says, as it may be said. `heard` and `told` are the sequence
    numbers of the last event that came and that went out; `keeps` says that what is said is kept. Settle it, however
    the call ends; once is enough.
    """

    def __init__(
        self,
        call: Call,
        model: str,
        texts: Sequence[str],
        ticket: RateLimitDecision,
        reservation: Reservation,
        meter: Meter,
        screens: Screens | None,
        findings: Sequence[Finding],
        close: Close,
        keeps: bool,
    ) -> None:
        self.call = call
        self.model = model
        self.texts = texts
        self.ticket = ticket
        self.reservation = reservation
        self.meter = meter
        self.run_id = ""
        self.version = 0
        self.collection = ""
        self.reason = ""
        self.heard = self.told = 0
        self.finished = self.settled = False
        self._said: list[str] = []
        self.screens = screens
        self._screen: EventScreen | None = None
        self._findings = list(findings)
        self._close = close
        self.keeps = keeps

    @property
    def blocked(self) -> Finding | None:
        """The guard's finding that stopped the answer."""
        return self._screen.blocked if self._screen is not None else None

    @property
    def findings(self) -> list[Finding]:
        """Of what was said and of the answer so far."""
        return [*self._findings, *(self._screen.findings if self._screen is not None else ())]

    def find(self, finding: Finding) -> None:
        """Hear of what was found in an answer that is no run's."""
        self._findings.append(finding)

    @property
    def answer(self) -> str:
        """The text that went out, where it is kept."""
        return "".join(self._said)

    @property
    def exceeded(self) -> BudgetExceeded:
        """The budget that has ended; after `affords` has said no."""
        if self.reservation.refusal is None:
            raise LookupError("no budget has ended")
        return self.reservation.refusal

    def take(self, events: Sequence[event_pb.RunEvent]) -> list[event_pb.RunEvent]:
        """Count what a run did; returns what may be told of it now."""
        self.count(events)
        if self.screens is not None and self._screen is None:
            self._screen = self.screens.events()
        released = list(events) if self._screen is None else self._screen.take(events)
        if released:
            self.told = released[-1].sequence
            if self.keeps:
                self._said += [event.text.text for event in released if event.HasField("text")]
        return released

    def count(self, events: Sequence[event_pb.RunEvent]) -> None:
        """Count what nobody is told of."""
        self.meter.take(events)
        if events:
            self.heard = events[-1].sequence
            self.run_id = self.run_id or events[0].run_id
        for event in events:
            kind = event.WhichOneof("event")
            if kind == "started":
                self.version, self.collection = event.started.agent_version, event.started.collection
            elif kind == "finished":
                self._end(event.finished)

    def take_end(self, events: Sequence[event_pb.RunEvent]) -> None:
        """The gateway's own last events."""
        self._end(events[-1].finished)

    async def affords(self) -> bool:
        """Whether the budgets have room for what was consumed so far."""
        used = Cost(self.meter.tokens, self.meter.cost_nanos)
        return self.reservation.take(used) or await self.reservation.extend(used)

    async def settle(self) -> None:
        """Write what was consumed: durable on return."""
        if not self.settled:
            await self.closing()

    def closing(self) -> Coroutine[Any, Any, None]:
        """The same, for somebody who lets it run by itself: from now on it counts as settled."""
        self.settled = True
        return self._close(self)

    def abandon(self) -> None:
        """Give back what was held: the model was never reached. Does nothing once it is settled."""
        if not self.settled:
            self.settled = True
            self.reservation.release()
            self.ticket.correct(0)
            self.ticket.release()

    def _end(self, finished: event_pb.RunFinished) -> None:
        self.finished, self.reason = True, finished_word(finished)


def finished_word(finished: event_pb.RunFinished) -> str:
    """The finish reason as the books have it, such as "stop" or "content_filter"."""
    return run_pb2.FinishReason.Name(finished.reason).removeprefix("FINISH_REASON_").lower()
