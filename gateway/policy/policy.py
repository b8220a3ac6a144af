"""The one way to a model: limits, guards and budgets before it, the books after it."""

import logging
import time
from collections.abc import Callable
from typing import Any

from gateway.audit.entry import Content, Decision
from gateway.audit.layer import Audit, entry_of
from gateway.budgets.model import Cost
from gateway.budgets.service import Budgets
from gateway.guard.pipeline import Pipeline, Screened
from gateway.guard.policies import Policies
from gateway.guard.vault import Vault
from gateway.limits.service import RateLimits
from gateway.policy.admission import Admission
from gateway.policy.ask import Ask
from gateway.policy.errors import ContentFiltered
from gateway.policy.meter import Meter
from gateway.policy.screening import EventScreen
from gateway.policy.screens import screens
from gateway.usage.record import Spent, usage_of
from services.llm.price import Price
from services.runtime.call import Call
from services.runtime.identity import Identity
from services.runtime.records.errors import RecordsUnavailable

log = logging.getLogger(__name__)

# Whether a tenant has what is said put on record.
Opted = Callable[[str], bool]


class Policy:
    """Who may use how much, what may be said, and the record of both."""

    def __init__(
        self,
        limits: RateLimits,
        guards: Policies,
        budgets: Budgets,
        audit: Audit,
        opted: Opted,
    ) -> None:
        self._limits = limits
        self._guards = guards
        self._budgets = budgets
        self._audit = audit
        self._opted = opted

    def pipeline(self, who: Identity, model: str) -> Pipeline:
        """The guards of a model or agent. Raises GuardPolicyBroken."""
        return self._guards.of(who.tenant, model)

    def guards_instructions(self, call: Call, model: str) -> bool:
        """Whether a guard looks for an agent's instructions in its answers."""
        return self.pipeline(_caller(call), model).guards_instructions

    def screens_context(self, call: Call, model: str) -> bool:
        """Whether a guard looks at what the model or agent reads."""
        return self.pipeline(_caller(call), model).screens_context

    def screen(self, call: Call, model: str, instructions: str) -> EventScreen | None:
        """What screens an answer that is told again; None where nothing does."""
        made = screens(self.pipeline(_caller(call), model), Vault(), instructions)
        return made.events() if made is not None else None

    def shown(self, call: Call, text: str) -> str:
        """What an answer of before may say now, by the tenant's own policy; nothing of one that is blocked."""
        made = screens(self.pipeline(_caller(call), ""), Vault(), "")
        return made.whole(text) if made is not None else text

    async def admit(self, call: Call, ask: Ask, price: Price) -> Admission:
        """Let a call in, or raise RateLimited, LimitsUnavailable, ContentFiltered, GuardPolicyBroken, BudgetExceeded
        or RecordsUnavailable."""
        who = _caller(call)
        call.notes["model"] = ask.model
        pipeline = self.pipeline(who, ask.model)
        ticket = await self._limits.admit(who, ask.model, ask.tokens, ask.stream)
        try:
            screened = await self._screen(call, pipeline, ask)
            cost = Cost(ask.tokens, price.nanos(ask.reads, ask.writes))
            reservation = await self._budgets.reserve(who, ask.model, cost)
        except BaseException:
            ticket.correct(0)
            ticket.release()
            raise
        call.headers |= ticket.headers
        admission = Admission(
            call, ask.model, screened.texts, ticket, reservation, Meter(ask.reads, price),
            screens(pipeline, screened.vault, ask.instructions), screened.findings, self._close,
            self._opted(who.tenant),
        )  # fmt: skip
        reservation.follow(lambda: usage_of(who, spent_of(admission)))
        return admission

    async def _screen(self, call: Call, pipeline: Pipeline, ask: Ask) -> Screened:
        screened = await pipeline.screen_input(ask.texts, instructs=ask.instructs)
        if screened.findings:
            call.notes["guards"] = named(screened.findings)
        if screened.blocked is not None:
            call.notes["decision"] = Decision.BLOCKED.value
            raise ContentFiltered(screened.blocked)
        return screened

    async def _close(self, admission: Admission) -> None:
        """Usage, budgets and audit in one transaction. What cannot be written now is tried again by the budgets for as
        long as this process lives: an answer that was given is not taken back."""
        call, who, spent = admission.call, _caller(admission.call), spent_of(admission)
        tokens = spent.prompt_tokens + spent.completion_tokens
        admission.ticket.correct(tokens)
        admission.ticket.release()
        call.notes |= noted(admission, spent)
        call.audited = True
        entry = entry_of(call, call.address, reason=admission.reason, content=_content(admission))
        try:
            await admission.reservation.settle(
                Cost(tokens, spent.cost_nanos), usage_of(who, spent), [self._audit.put(entry)]
            )
        except RecordsUnavailable:
            self._audit.missed()
            log.warning("a call is not yet settled: the records are gone", extra={"run_id": admission.run_id})
        else:
            self._audit.recorded()


def spent_of(admission: Admission) -> Spent:
    """What a call has come to so far."""
    meter = admission.meter
    return Spent(
        agent=admission.model, agent_version=admission.version, model=admission.model, run_id=admission.run_id,
        prompt_tokens=meter.prompt_tokens, completion_tokens=meter.completion_tokens,
        cached_tokens=meter.cached_tokens, cost_nanos=meter.cost_nanos, finish_reason=admission.reason,
        seconds=time.monotonic() - admission.call.started,
    )  # fmt: skip


def _content(admission: Admission) -> Content | None:
    return Content("\n".join(admission.texts), admission.answer) if admission.keeps else None


def _caller(call: Call) -> Identity:
    if call.identity is None:
        raise LookupError("a call without an identity was let through")
    return call.identity


def named(findings: Any) -> list[str]:
    """The guards that found something, with what they found: "pii:EMAIL"."""
    return sorted({f"{one.guard}:{one.category}" for one in findings})


def noted(admission: Admission, spent: Spent) -> dict[str, object]:
    """What the log and the audit say of a call that is over."""
    notes: dict[str, object] = {
        "model": admission.model, "agent_version": admission.version, "collection": admission.collection,
        "run_id": admission.run_id, "prompt_tokens": spent.prompt_tokens,
        "completion_tokens": spent.completion_tokens, "cost_nanos": spent.cost_nanos, "finish": admission.reason,
    }  # fmt: skip
    if admission.findings:
        notes["guards"] = named(admission.findings)
    if admission.blocked is not None or admission.reason == "budget":
        notes["decision"] = Decision.BLOCKED.value
    return notes
