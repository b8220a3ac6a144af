"""One execution of an agent: what its agent sees of it, and what is written of it."""

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from services.llm.chat import Message
from services.orchestrator.domain.event import (
    ApprovalDecided,
    ApprovalRequested,
    Body,
    Event,
    Finished,
    FinishReason,
    ModelRouted,
    PassagesRetrieved,
    Started,
    StepFinished,
    StepStarted,
    ToolCallBegun,
    UsageReported,
    VerdictGiven,
)
from services.orchestrator.runs.agent import Agent, Review, RunInput
from services.orchestrator.runs.codec import encode, encode_ask, encode_message
from services.orchestrator.runs.errors import AlreadyDecided, ApprovalNotFound, NotReviewable
from services.orchestrator.runs.identity import Nobody, RunIdentity
from services.orchestrator.runs.log import EventLog
from services.orchestrator.runs.records import pending_text
from services.orchestrator.runs.run import Run, RunState
from services.orchestrator.runs.statements import (
    ADD_MESSAGES,
    END_RUN,
    INSERT_EVENTS,
    INSERT_RUN,
    LEAVE_SESSION,
    UPDATE_RUN,
    Batch,
    Row,
)
from services.orchestrator.runs.transcript import SessionTranscript
from services.runtime.errors import DomainError, ErrorKind

log = logging.getLogger(__name__)

# Events that a run may be ahead of its record; then it waits.
AHEAD = 256
# What nobody waits for: it may be stored, and seen, together with what comes next. But the start of a run that outlives
# its caller, or holds a session, is known as soon as it can be.
_LINGERING = (Started, StepStarted, ModelRouted, StepFinished, PassagesRetrieved, UsageReported, VerdictGiven)


DETACHED_LIMIT = "HEADWORKS_ORCHESTRATOR_DETACHED_RUN_SECONDS"


@dataclass(frozen=True, slots=True)
class RunTerms:
    """Under what a run is executed. `refresh_token` is what its identity is renewed by, also by another process that
    takes it up, until `expires`, in seconds since the epoch. A run that is `detached` does not need its caller.
    `subject` is the caller, by name; `others`: they may go on with others' sessions; `limit` what sets how many
    `seconds` it has, in words."""

    seconds: float
    identity: RunIdentity = field(default_factory=Nobody)
    refresh_token: str = ""
    expires: float | None = None
    detached: bool = False
    subject: str = ""
    limit: str = DETACHED_LIMIT
    others: bool = False


@dataclass(slots=True, eq=False)
class Execution:
    """A run under way. It is the run's Journal for the agent, and its LoggedRun for the log."""

    run: Run
    agent: Agent | None
    ask: RunInput | None
    terms: RunTerms
    log: EventLog
    events: Sequence[Event] = ()
    deadline: float = 0.0
    timer: asyncio.Timeout | None = None
    task: asyncio.Task[None] | None = None
    leaving: bool = False
    lost: DomainError | None = None
    inserted: bool = False
    held: int = 0
    transcript: SessionTranscript | None = None
    message_count: int = 0
    done: Callable[["Execution"], None] = field(default=lambda execution: None)
    _left: float = 0.0
    _state: RunState | None = None
    _detached: bool = False
    _keeping: asyncio.Task[None] | None = None
    _review: Review | None = None

    def __post_init__(self) -> None:
        self.deadline = time.monotonic() + self.terms.seconds
        self._detached = self.terms.detached
        self.terms.identity.run_id = self.run.id
        if self.run.session_id:
            self.transcript = SessionTranscript()
            for event in self.events:
                self.transcript.add(event.body)

    @property
    def run_id(self) -> str:
        return self.run.id

    @property
    def tenant(self) -> str:
        return self.run.tenant

    def append(self, body: Body) -> Event:
        """Add an event and have it stored. Raises RunOver after the last."""
        if isinstance(body, ApprovalRequested):
            body = self._bounded(body)
        event = self.run.append(body)
        if self.transcript is not None:
            self.transcript.add(body)
        self.log.put(self, linger=type(body) in _LINGERING and not (type(body) is Started and self._claims))
        return event

    @property
    def _claims(self) -> bool:
        """Others rely on the run's record: those who ask for it later, or for its session."""
        return self.terms.detached or bool(self.run.session_id)

    def _bounded(self, request: ApprovalRequested) -> ApprovalRequested:
        """An approval waits no longer than the run's identity is good: it could not go on after that."""
        ends = [each for each in (request.expires, self.terms.expires) if each is not None]
        return replace(request, expires=min(ends) if ends else None)

    async def keep_up(self) -> None:
        """Wait for the log where it is too far behind."""
        if self.run.sequence - self.run.stored > AHEAD:
            await self.run.saved(self.run.sequence - AHEAD // 2)

    async def decision(self, approval_id: str) -> ApprovalDecided:
        """See Journal. KeyError for an approval that was not asked for."""
        approvals = self.run.approvals
        expires = approvals.expires(approval_id)
        if not self.held:
            self._left = self.deadline - time.monotonic()
            self._set_timer(None)
        self.held += 1
        try:
            async with asyncio.timeout(None if expires is None else max(expires - time.time(), 0)):
                decided = await approvals.decision(approval_id)
        except TimeoutError:
            decided = await self.decide(ApprovalDecided(approval_id, approved=False))
        finally:
            self.held -= 1
            self.deadline = time.monotonic() + self._left
            self.terms.identity.enter(self.deadline)
            if not self.held:
                self._set_timer(self._left)
        await self.run.saved(self.run.sequence)
        if decided.approved:
            await self.terms.identity.ensure()
        return decided

    async def begin(self, call_id: str) -> ToolCallBegun:
        """See Journal."""
        body = ToolCallBegun(call_id)
        event = self.append(body)
        await self.run.saved(event.sequence)
        return body

    def review(self, check: Review) -> None:
        """See Journal."""
        self._review = check

    async def decide(self, decision: ApprovalDecided) -> ApprovalDecided:
        """Decide an approval; it is stored when this returns. What a person has approved does not need the run's caller
        any more. Raises ApprovalNotFound, AlreadyDecided, or InvalidArgument for a replacement that cannot be taken."""
        try:
            self.run.approvals.check(self.run.id, decision.approval_id)
        except AlreadyDecided:
            await self.run.saved(self.run.sequence)
            raise
        if self.run.finished is not None:
            raise ApprovalNotFound(self.run.id, decision.approval_id)
        if decision.replacement:
            if self._review is None:
                raise NotReviewable(self.run.id)
            self._review(self.run.approvals.requested(decision.approval_id), decision)
        if decision.approved:
            self.terms = replace(self.terms, detached=True)
        event = self.append(decision)
        await self.run.saved(event.sequence)
        return decision

    def identify(self, identity: RunIdentity) -> None:
        """Whom the run acts for from here on."""
        identity.run_id = self.run.id
        self.terms = replace(self.terms, identity=identity)

    @asynccontextmanager
    async def identified(self) -> AsyncIterator[None]:
        """Be the run's caller meanwhile. Where the caller is let in no more, the run's task is cancelled, and `lost`
        says why. A run that waits for a person needs no token until it goes on. Raises IdentityRefused,
        IdentityUnavailable."""
        identity = self.terms.identity
        if not self.run.approvals.pending:
            await identity.ensure()
        identity.enter(self.deadline)
        # Most runs are over before there is anything to renew, and need no task for it.
        timer = asyncio.get_running_loop().call_later(identity.due, self._keep) if identity.due < math.inf else None
        try:
            yield
        finally:
            if timer is not None:
                timer.cancel()
            if self._keeping is not None:
                self._keeping.cancel()
                await asyncio.gather(self._keeping, return_exceptions=True)

    def _keep(self) -> None:
        self._keeping = asyncio.create_task(self.terms.identity.keep(lambda: self.held > 0))
        self._keeping.add_done_callback(self._unidentified)

    def _unidentified(self, keeping: "asyncio.Task[None]") -> None:
        error = None if keeping.cancelled() else keeping.exception()
        if error is not None and self.task is not None:
            expected = isinstance(error, DomainError)
            self.lost = error if isinstance(error, DomainError) else DomainError("the identity cannot be renewed")
            log.warning(
                "a run has lost its identity",
                extra={"run_id": self.run.id, "why": self.lost.message},
                exc_info=None if expected else error,
            )
            self.task.cancel()

    def _set_timer(self, seconds: float | None) -> None:
        if self.timer is not None and not self.timer.expired():
            when = None if seconds is None else asyncio.get_running_loop().time() + seconds
            self.timer.reschedule(when)

    def detach(self, seconds: float) -> None:
        """Go on without the caller, for `seconds` more."""
        self.terms = replace(self.terms, seconds=seconds, detached=True)
        self.deadline = time.monotonic() + seconds
        self._left = seconds
        self.log.put(self)

    def collect(self, batch: Batch) -> None:
        run = self.run
        events, run.unstored = run.unstored, []
        if events:
            data = self._encoded(events)
            row: Row = {"run_id": run.id, "first": events[0].sequence, "last": events[-1].sequence, "data": data}
            batch.setdefault(INSERT_EVENTS, []).append(row)
        if not self.inserted:
            self.inserted = True
            batch.setdefault(INSERT_RUN, []).append(self._whole())
        elif run.finished is not None or run.state is not self._state or self._detached is not self.terms.detached:
            name = END_RUN if run.finished is not None else UPDATE_RUN
            batch.setdefault(name, []).append({**self._live(), "of_run": run.id})
        self._state, self._detached = run.state, self.terms.detached
        if run.finished is not None and run.session_id:
            self._leave_session(batch)

    def _encoded(self, events: list[Event]) -> bytes:
        """The events as bytes. What no text can hold ends the run in place of what could not be written."""
        try:
            return encode(events)
        except TypeError:
            run = self.run
            message = f"internal error in {run.id}: an event cannot be written"
            bad = next(number for number, event in enumerate(events) if not _writable(event))
            end = Finished(FinishReason.ERROR, "INTERNAL", message, int(ErrorKind.INTERNAL))
            events[bad:] = [run.end_at(events[bad].sequence, end)]
            self.abandon()
            return encode(events)

    def _whole(self) -> Row:
        run = self.run
        return {
            "id": run.id,
            "tenant": run.tenant,
            "owner": self.log.incarnation,
            "replica": run.replica,
            "model": run.model,
            "agent_version": run.agent_version,
            "collection": run.collection,
            "session_id": run.session_id,
            "create_time": run.create_time,
            "expires": self.terms.expires,
            "ask": encode_ask(self.ask) if self.ask else None,
            "refresh_token": self.terms.refresh_token if run.finished is None else None,
            "subject": self.terms.subject,
            **self._live(),
        }

    def _live(self) -> Row:
        run = self.run
        reason = run.finished.reason if run.finished else None
        return {
            "state": int(run.state),
            "finish_reason": int(reason) if reason else None,
            "last_sequence": run.sequence,
            "end_time": run.finish_time,
            "prompt_tokens": run.usage.prompt_tokens,
            "completion_tokens": run.usage.completion_tokens,
            "cached_tokens": run.usage.cached_tokens,
            "cost_nanos": run.usage.cost_nanos,
            "reasoning_tokens": run.usage.reasoning_tokens,
            "pending": pending_text(run.info.pending),
            "detached": int(self.terms.detached),
            "seconds": max(self._left if self.held else self.deadline - time.monotonic(), 0.0),
        }

    def _leave_session(self, batch: Batch) -> None:
        """The run's messages become the session's, in the transaction that ends the run."""
        run = self.run
        messages: list[Message] = [*(self.ask.said if self.ask else ())]
        messages += self.transcript.messages() if self.transcript else ()
        rows = batch.setdefault(ADD_MESSAGES, [])
        for number, message in enumerate(messages, self.message_count + 1):
            rows.append(
                {
                    "tenant": run.tenant, "session_id": run.session_id, "number": number,
                    "data": encode_message(message), "of_run": run.id, "subject": self.terms.subject,
                }
            )  # fmt: skip
        batch.setdefault(LEAVE_SESSION, []).append(
            {"of_tenant": run.tenant, "session": run.session_id, "of_run": run.id, "now": time.time(),
             "added": len(messages)}
        )  # fmt: skip

    def stored(self) -> None:
        if self.run.over:
            self.done(self)

    def abandon(self) -> None:
        """Stop the agent and leave the run as it is."""
        self.leaving = True
        if self.task is not None:
            self.task.cancel()

    def fail(self, error: BaseException) -> None:
        self.run.end_unstored(error)
        if self.task is not None:
            self.task.cancel()


def _writable(event: Event) -> bool:
    try:
        encode([event])
    except TypeError:
        return False
    return True
