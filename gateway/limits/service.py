"""The rate limits of the gateway: rules, counters, and what happens when the shared counters are gone."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Sequence
from typing import Literal

from gateway.limits import metrics
from gateway.limits.errors import LimitsUnavailable, RateLimited
from gateway.limits.memory import MemoryCounters
from gateway.limits.model import EACH, AppliedRule, LimitKey, RateLimitDecision, Rule, applying
from gateway.limits.redis_counters import RedisCounters
from gateway.limits.store import LimitStore
from services.runtime.identity import Identity
from services.runtime.redis import GONE

log = logging.getLogger(__name__)
WhenGone = Literal["open", "closed", "local"]
# For so long nobody asks after Redis failed; then one call does.
PAUSE_SECONDS = 0.5


def default_rule(requests: int, tokens: int, streams: int) -> Rule:
    """What the settings say of each caller; any rule of the database for each caller or a tenant's stands before it."""
    return Rule("default", caller=EACH, requests=requests, tokens=tokens, streams=streams)


class RuleBook:
    """At most `limit` callers and models are remembered."""

    def __init__(self, default: Rule, limit: int = 100_000) -> None:
        self._default = default
        self._limit = limit
        self._rules: Sequence[Rule] = (default,)
        self._plans: OrderedDict[tuple[str, ...], tuple[AppliedRule, ...]] = OrderedDict()

    async def reload(self, store: LimitStore) -> None:
        """Read the rules anew. Raises RecordsUnavailable, and leaves those that there were."""
        self.set(await store.all())

    def set(self, rules: Sequence[Rule]) -> None:
        """Have these rules, and the default after them."""
        self._rules = (*rules, self._default)
        self._plans.clear()

    def plan(self, who: Identity, *names: str) -> tuple[AppliedRule, ...]:
        """The rules for a call of a model, or of an agent and the models that it asks; none where nothing is
        limited."""
        caller = who.key or who.subject
        key = (who.tenant, caller, *names)
        plan = self._plans.get(key)
        if plan is None:
            plan = self._plans[key] = self._make([LimitKey(who.tenant, caller, name) for name in names])
            if len(self._plans) > self._limit:
                self._plans.popitem(last=False)
        return plan

    def _make(self, keys: Sequence[LimitKey]) -> tuple[AppliedRule, ...]:
        """Each bucket once: what counts a call whatever it asks counts it once."""
        chosen = {applied.bucket: applied for key in reversed(keys) for applied in applying(self._rules, key)}
        ordered = sorted(chosen.values(), key=lambda applied: (applied.rule.shape, applied.bucket))
        return tuple(one for one in ordered if one.rule.requests or one.rule.tokens or one.rule.streams)


class RateLimits:
    """`shared`: the counters of all replicas; without them each counts by itself. `when_gone`: what happens while those
    are gone: calls pass uncounted ("open"), are refused ("closed"), or each replica counts by itself ("local")."""

    def __init__(self, book: RuleBook, shared: RedisCounters | None = None, when_gone: WhenGone = "local") -> None:
        self._book = book
        self._memory = MemoryCounters()
        self._shared = shared
        self._when_gone = when_gone
        self._ask_at = 0.0
        self._gone = False

    async def open(self) -> None:
        if self._shared is not None:
            await self._shared.open()

    async def aclose(self) -> None:
        if self._shared is not None:
            await self._shared.aclose()

    async def admit(
        self, who: Identity, model: str, tokens: int, stream: bool, asked: Sequence[str] = ()
    ) -> RateLimitDecision:
        """Admit a call of about so many tokens of a model, or of an agent and the models `asked` by it. Raises
        RateLimited, LimitsUnavailable."""
        plan = self._book.plan(who, model, *asked)
        if not plan:
            return RateLimitDecision(None, (), tokens, stream)
        try:
            if self._shared is None:
                return self._memory.admit(plan, tokens, stream)
            return await self._admit_shared(self._shared, plan, tokens, stream)
        except RateLimited as refusal:
            metrics.LIMITED.labels(refusal.what).inc()
            raise

    async def _admit_shared(
        self, shared: RedisCounters, plan: tuple[AppliedRule, ...], tokens: int, stream: bool
    ) -> RateLimitDecision:
        now = asyncio.get_running_loop().time()
        if self._gone and now < self._ask_at:
            return self._without(plan, tokens, stream)
        self._ask_at = now + PAUSE_SECONDS  # where it is gone, this call alone finds out whether it is back
        try:
            decision = await shared.admit(plan, tokens, stream)
        except GONE as error:
            self._note(error)
            return self._without(plan, tokens, stream)
        self._note(None)
        return decision

    def _without(self, plan: tuple[AppliedRule, ...], tokens: int, stream: bool) -> RateLimitDecision:
        metrics.WITHOUT_SHARED.labels(self._when_gone).inc()
        if self._when_gone == "closed":
            raise LimitsUnavailable().retry_in(PAUSE_SECONDS)
        if self._when_gone == "open":
            return RateLimitDecision(None, (), tokens, stream)
        return self._memory.admit(plan, tokens, stream)

    def _note(self, error: Exception | None) -> None:
        """Log when Redis goes and when it is back, not every call between."""
        if error is not None and not self._gone:
            log.warning(
                "the shared rate limits cannot be reached",
                extra={"error": type(error).__name__, "limits_when_redis_is_gone": self._when_gone},
            )
        if error is None and self._gone:
            log.info("the shared rate limits can be reached again")
        self._gone = error is not None
        metrics.SHARED_GONE.set(self._gone)
