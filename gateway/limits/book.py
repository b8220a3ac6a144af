"""The rules in memory, and which of them apply to whom, looked up once."""

from collections import OrderedDict
from collections.abc import Sequence

from gateway.limits.rule import EACH, Asked, Limited, Rule, applying, asked
from gateway.limits.store import LimitStore
from services.runtime.identity import Identity


def default_rule(requests: int, tokens: int, streams: int) -> Rule:
    """What the settings say of each caller; any rule of the database for each caller or a tenant's stands before it."""
    return Rule("default", caller=EACH, requests=requests, tokens=tokens, streams=streams)


class RuleBook:
    """At most `limit` callers and models are remembered."""

    def __init__(self, default: Rule, limit: int = 100_000) -> None:
        self._default = default
        self._limit = limit
        self._rules: Sequence[Rule] = (default,)
        self._plans: OrderedDict[tuple[str, str, str], tuple[Limited, ...]] = OrderedDict()

    async def reload(self, store: LimitStore) -> None:
        """Read the rules anew. Raises RecordsUnavailable, and leaves those that there were."""
        self.set(await store.all())

    def set(self, rules: Sequence[Rule]) -> None:
        """Have these rules, and the default after them."""
        self._rules = (*rules, self._default)
        self._plans.clear()

    def plan(self, who: Identity, model: str) -> tuple[Limited, ...]:
        """The rules for this call; none where nothing is limited."""
        name = (who.tenant, who.key or who.subject, model)
        plan = self._plans.get(name)
        if plan is None:
            plan = self._plans[name] = self._make(asked(who, model))
            if len(self._plans) > self._limit:
                self._plans.popitem(last=False)
        return plan

    def _make(self, call: Asked) -> tuple[Limited, ...]:
        chosen = applying(self._rules, call)
        return tuple(one for one in chosen if one.rule.requests or one.rule.tokens or one.rule.streams)
