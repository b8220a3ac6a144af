"""The one pipeline of all calls of models: admit, screen what is asked, look into the cache, reserve; then meter and
screen the answer of whatever gives it, and settle.

A face calls RunCalls, BareCalls or EmbedCalls. Each admits a call here, has its model asked, and hands what comes to
`answered`.
"""

import logging
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import aclosing
from math import ceil
from typing import Protocol, TypeVar

from gateway.audit.entry import Content, Decision
from gateway.audit.layer import Audit, entry_of
from gateway.budgets.model import Cost
from gateway.budgets.service import Budgets
from gateway.cache import directives
from gateway.cache.service import AnswerCache
from gateway.cache.turn import NO_TURN, CacheStatus, CacheTurn
from gateway.calls import metrics
from gateway.calls.background import BackgroundTasks
from gateway.calls.call import BUDGET, CONTENT_FILTER, ModelCall, time_left
from gateway.calls.errors import ContentFiltered, Unscreenable
from gateway.calls.held_text import Screen
from gateway.calls.meter import HitMeter, Meter
from gateway.calls.request import ModelRequest
from gateway.guard.compile import OutputFacts
from gateway.guard.finding import Finding
from gateway.guard.pipeline import GuardPipeline, Screened
from gateway.guard.policies import Policies
from gateway.guard.vault import Vault
from gateway.limits.service import RateLimits
from gateway.usage.record import Spent, usage_of
from services.llm.price import Price
from services.llm.tokens import estimate_prompt
from services.runtime.call import Call
from services.runtime.identity import Identity
from services.runtime.records.errors import RecordsUnavailable

log = logging.getLogger(__name__)

# Of one request that guards act on: each of them costs, however short it is.
MOST_TEXTS = 20_000

LONGEST_CACHED = 1 << 18
"""Characters of a request that the cache compares."""
CACHE_HEADER = "x-headworks-cache"
"""Says of an answer to a call for which a policy of the cache is on: hit, miss or bypass."""

Batch = TypeVar("Batch")
Batch_contra = TypeVar("Batch_contra", contravariant=True)
Out = TypeVar("Out")


class Answer(Protocol[Batch_contra, Out]):
    """The answer of one kind of model, as it comes: a run's events, or the bytes of an upstream."""

    def take(self, batch: Batch_contra) -> Out:
        """Count and screen the next batch; returns what may go out. The last one finishes the call."""
        ...

    def stop(self, out: Out, reason: str) -> Out:
        """End it for a reason of the gateway's own, which finishes the call; returns `out` and what follows it."""
        ...


async def answered(
    call: ModelCall, batches: AsyncGenerator[Batch, None], answer: Answer[Batch, Out]
) -> AsyncGenerator[Out, None]:
    """What may go out of an answer, batch by batch. Before its end goes out the call is settled. Raises what `batches`
    and `answer` raise."""
    async with aclosing(batches):
        async for batch in batches:
            out = answer.take(batch)
            reason = ""
            if call.blocked is not None:
                reason = CONTENT_FILTER
            elif not (call.finished or call.covered() or await call.extend()):
                reason = BUDGET
            if reason:
                await batches.aclose()
                out = answer.stop(out, reason)
            if call.finished:
                await call.settle()
            if out:
                yield out


class CallPipeline:
    """Who may use how much, what may be sent and answered, and the record of both. `keeps_content`: whether a tenant's
    texts and answers are put on record."""

    def __init__(
        self,
        limits: RateLimits,
        policies: Policies,
        budgets: Budgets,
        audit: Audit,
        background: BackgroundTasks,
        keeps_content: Callable[[str], bool],
        cache: AnswerCache,
    ) -> None:
        self._limits = limits
        self._policies = policies
        self._budgets = budgets
        self._audit = audit
        self._background = background
        self._keeps_content = keeps_content
        self._cache = cache

    def guards(self, call: Call, *names: str) -> GuardPipeline:
        """The guards of the first of these models and agents that has some, or the tenant's own. Raises
        GuardPolicyBroken."""
        return self._policies.of(call.tenant, *names)

    async def admit(
        self, call: Call, request: ModelRequest, price: Price, guards: GuardPipeline | None = None
    ) -> ModelCall:
        """Admit a call, under `guards` where they are known. Raises RateLimited, LimitsUnavailable, ContentFiltered,
        GuardPolicyBroken, BudgetExceeded or RecordsUnavailable."""
        who = _caller(call)
        call.notes["model"] = request.model
        guards = guards or self.guards(call, request.model, *request.beside)
        ticket = await self._limits.admit(who, request.model, request.tokens, request.lasts, request.beside)
        turn = NO_TURN
        try:
            screened = await screen_input(call, guards, request)
            turn = await self._turn(call, request, screened)
            meter, cost = _expected(turn, request, price)
            reservation = await self._budgets.reserve(who, request.model, cost, request.beside)
        except BaseException:
            turn.close(left=True)
            ticket.correct(0)
            ticket.release()
            raise
        call.headers |= ticket.headers
        admitted = ModelCall(
            call, request.model, screened.texts, meter, ticket, reservation,
            self._settle, self._background, screen=screen_of(guards, screened.vault, request.instructions),
            input_findings=screened.findings, keeps=self._keeps_content(who.tenant), guarded=guards.acts_on_output,
            models=request.models, turn=turn,
        )  # fmt: skip
        reservation.follow(lambda: usage_of(who, spent_of(admitted)))
        return admitted

    async def _turn(self, call: Call, request: ModelRequest, screened: Screened) -> CacheTurn:
        """The call's turn at the cache, and word of it. What guards have changed is for nobody else; what is long, or
        more than text, takes too long to compare."""
        if request.cached is None:
            return NO_TURN
        changed = any(finding.acts for finding in screened.findings)
        long = bool(request.unread) or sum(map(len, request.texts)) > LONGEST_CACHED
        asked = None if changed or long else request.cached
        said = directives.read(call.metadata.get(directives.CACHE_CONTROL, ""))
        turn = await self._cache.begin(_caller(call), request.model, said, asked, time_left(call))
        if turn.status is not CacheStatus.OFF:
            call.headers[CACHE_HEADER] = call.notes["cache"] = turn.status.value
        if turn.answer is not None:
            call.headers["age"] = str(int(turn.age))
        return turn

    async def take(self, call: Call, name: str) -> None:
        """Take a request of the rate limits of `name`, for what no model is asked. Raises RateLimited,
        LimitsUnavailable."""
        ticket = await self._limits.admit(_caller(call), name, 0, False)
        ticket.release()
        call.headers |= ticket.headers

    async def findings(self, call: Call, name: str, texts: Sequence[str], *policies: str) -> list[list[Finding]]:
        """What guards find in each of some texts that no model is asked, as a caller's and as an answer, under the
        rate limits of `name`. `policies`: see `guards`. Raises RateLimited, LimitsUnavailable, GuardPolicyBroken."""
        who, guards = _caller(call), self.guards(call, *policies)
        ticket = await self._limits.admit(who, name, estimate_prompt(texts), False, ())
        try:
            screened = await guards.screen_input(texts, owner=call.tenant)
        finally:
            ticket.release()
        call.headers |= ticket.headers
        said = [[each for each in screened.findings if each.item == item or not each.end] for item in range(len(texts))]
        if guards.screens_output:
            for item, text in enumerate(texts):
                said[item] += guards.output().whole(text).findings
        return said

    async def _settle(self, call: ModelCall) -> None:
        """Usage, budgets and audit in one transaction. What cannot be written now is tried again by the budgets for as
        long as this process lives: an answer that was given is not taken back."""
        served, who, spent = call.incoming, _caller(call.incoming), spent_of(call)
        tokens = spent.prompt_tokens + spent.completion_tokens
        call.ticket.correct(tokens)
        call.ticket.release()
        served.notes |= _notes(call, spent)
        served.audited = True
        content = Content("\n".join(call.texts), "".join(call.answer)) if call.keeps else None
        entry = entry_of(served, served.address, reason=call.finish_reason, content=content)
        try:
            await call.reservation.settle(
                Cost(tokens, spent.cost_nanos), usage_of(who, spent), [self._audit.put(entry)]
            )
        except RecordsUnavailable:
            self._audit.missed()
            log.warning("a call is not yet settled: the records are gone", extra={"run_id": call.run_id})
        else:
            self._audit.recorded()


def cache_note(call: Call) -> dict[str, object]:
    """What an answer says of the cache; nothing where no policy is on."""
    status, age = call.headers.get(CACHE_HEADER), call.headers.get("age")
    if status is None:
        return {}
    return {"status": status} | ({"age_seconds": int(age)} if age is not None else {})


def _expected(turn: CacheTurn, request: ModelRequest, price: Price) -> tuple[Meter, Cost]:
    """What counts a call, and what it is expected to come to."""
    if turn.answer is None:
        cost = Cost(request.tokens, price.nanos(request.prompt_tokens, request.answer_tokens))
        return Meter(request.prompt_tokens, price), cost
    used, share = turn.answer.used, turn.charge
    return HitMeter(used.cost_nanos, share), Cost(ceil(used.tokens * share), ceil(used.cost_nanos * share))


def screen_of(guards: GuardPipeline, vault: Vault, instructions: str) -> Screen | None:
    """What screens an answer's texts; None where guards look at none and no personal data goes back into them.
    `instructions`: what the answer must not give away."""
    if not guards.screens_output and not vault:
        return None
    facts = OutputFacts(system_prompt=instructions)
    return lambda: guards.output(vault, facts)


def spent_of(call: ModelCall) -> Spent:
    """What a call has come to so far."""
    meter = call.meter
    return Spent(
        agent=call.model, agent_version=call.agent_version, model=call.asks, run_id=call.run_id,
        prompt_tokens=meter.prompt_tokens, completion_tokens=meter.completion_tokens,
        cached_tokens=meter.cached_tokens, cost_nanos=meter.cost_nanos, finish_reason=call.finish_reason,
        seconds=time.monotonic() - call.incoming.started,
    )  # fmt: skip


async def screen_input(call: Call, guards: GuardPipeline, request: ModelRequest) -> Screened:
    """What may be read of a request. Raises ContentFiltered, Unscreenable."""
    if request.unread and guards.acts_on_input:
        unscreenable = Unscreenable(request.unread, "cannot be read as text")
    elif request.speaks and guards.acts_on_output:
        unscreenable = Unscreenable(request.speaks, "asks for an answer that cannot be read as text")
    elif len(request.texts) > MOST_TEXTS and guards.acts_on_input:
        unscreenable = Unscreenable("messages", f"and the fields beside them have more than {MOST_TEXTS} texts")
    else:
        unscreenable = None
    if unscreenable is not None:
        metrics.UNSCREENABLE.labels("request").inc()
        call.notes["decision"] = Decision.BLOCKED.value
        raise unscreenable
    screened = await guards.screen_input(
        request.texts,
        instructs=request.instructs,
        flows=request.flows,
        lists=request.lists,
        owner=call.tenant,
    )
    if screened.findings:
        call.notes["guards"] = _named(screened.findings)
    if screened.blocked is not None:
        call.notes["decision"] = Decision.BLOCKED.value
        raise ContentFiltered(screened.blocked)
    return screened


def _caller(call: Call) -> Identity:
    if call.identity is None:
        raise LookupError("a call without an identity was admitted")
    return call.identity


def _named(findings: Iterable[Finding]) -> list[str]:
    """The guards that found something, with what they found: "pii:EMAIL"."""
    return sorted({f"{each.guard}:{each.category}" for each in findings})


def _notes(call: ModelCall, spent: Spent) -> dict[str, object]:
    """What the log and the audit say of a call that is over."""
    notes: dict[str, object] = {
        "model": call.model, "agent_version": call.agent_version, "collection": call.collection,
        "run_id": call.run_id, "prompt_tokens": spent.prompt_tokens,
        "completion_tokens": spent.completion_tokens, "cost_nanos": spent.cost_nanos, "finish": call.finish_reason,
    }  # fmt: skip
    if call.findings:
        notes["guards"] = _named(call.findings)
    if call.blocked is not None or call.finish_reason == BUDGET:
        notes["decision"] = Decision.BLOCKED.value
    return notes
