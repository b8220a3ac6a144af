"""Rate limits: what a rule limits, which rules apply to a call, and what an admitted call holds.

A rule names a tenant, a caller (a key, or the subject of a caller without one) and a model. A name stands for that
one, "*" for each one by itself, and "" says that the rule counts all of them together. Rules that look at the same
(callers or tenants or everybody, with or without the model) are of one shape: of each shape the most specific rule
applies, and rules of different shapes apply together.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Protocol
from urllib.parse import quote

from services.runtime.errors import InvalidArgument

EACH = "*"
MINUTE = 60.0
# All of them are held in memory, and looked through once for every caller and model.
MOST_RULES = 10_000


@dataclass(frozen=True, slots=True)
class Rule:
    """`requests` and `tokens` are per minute, `streams` at once; 0 is no limit."""

    id: str
    tenant: str = ""
    caller: str = ""
    model: str = ""
    requests: int = 0
    tokens: int = 0
    streams: int = 0

    @property
    def shape(self) -> tuple[str, bool]:
        """What the rule looks at."""
        who = "caller" if self.caller else "tenant" if self.tenant else "all"
        return who, bool(self.model)

    @property
    def rank(self) -> tuple[bool, bool, bool]:
        """Greater for a rule that is more specific than another of its shape."""
        return _named(self.caller), _named(self.tenant), _named(self.model)


@dataclass(frozen=True, slots=True)
class LimitKey:
    """What a call is limited by."""

    tenant: str
    caller: str
    model: str


@dataclass(frozen=True, slots=True)
class AppliedRule:
    """A rule that applies to a call, and the bucket in which it counts."""

    rule: Rule
    bucket: str


def applying(rules: Iterable[Rule], call: LimitKey) -> tuple[AppliedRule, ...]:
    """The rules that apply to the call, the most specific of each shape."""
    chosen: dict[tuple[str, bool], Rule] = {}
    for rule in rules:
        if not _matches(rule, call):
            continue
        other = chosen.get(rule.shape)
        if other is None or rule.rank > other.rank:
            chosen[rule.shape] = rule
    return tuple(AppliedRule(rule, _bucket(rule, call)) for _, rule in sorted(chosen.items()))


def check(rule: Rule) -> Rule:
    """The rule, if it makes sense. Raises InvalidArgument."""
    if min(rule.requests, rule.tokens, rule.streams) < 0:
        raise InvalidArgument("a limit is 0 (none) or more")
    if not (rule.requests or rule.tokens or rule.streams):
        raise InvalidArgument("a limit says how many requests or tokens a minute, or how many streams at once")
    if _named(rule.caller) and not _named(rule.tenant):
        raise InvalidArgument("a limit for one key names the key's tenant too", field="tenant")
    return rule


def _named(value: str) -> bool:
    return value not in ("", EACH)


def _matches(rule: Rule, call: LimitKey) -> bool:
    return (
        rule.tenant in ("", EACH, call.tenant)
        and rule.caller in ("", EACH, call.caller)
        and rule.model in ("", EACH, call.model)
    )


def _bucket(rule: Rule, call: LimitKey) -> str:
    """Rules of one shape count in the same bucket, so that a changed rule goes on with what was used."""
    who, with_model = rule.shape
    parts = [who]
    if who != "all":
        parts.append(call.tenant)
    if who == "caller":
        parts.append(call.caller)
    if with_model:
        parts.append("model=" + call.model)
    return ":".join(quote(part, safe="=") for part in parts)


@dataclass(frozen=True, slots=True)
class LimitUsage:
    """How much of a minute's requests and tokens is used under one rule: seconds until all of it is free again."""

    applied: AppliedRule
    requests: float = 0.0
    tokens: float = 0.0


class Counters(Protocol):
    """Where admitted calls are counted."""

    def correct(self, decision: "RateLimitDecision", tokens: int) -> None: ...

    def release(self, decision: "RateLimitDecision") -> None: ...


class RateLimitDecision:
    """An admitted call. `correct` it once the tokens are known, `release` it when its stream is over; each does
    something once. `charged`: the tokens that it was admitted with."""

    __slots__ = ("_corrected", "_counters", "_headers", "_released", "charged", "id", "stream", "usages")

    def __init__(
        self, counters: Counters | None, usages: Sequence[LimitUsage], charged: int, stream: bool, id_: str = ""
    ) -> None:
        self._counters = counters
        self._headers: Mapping[str, str] | None = None
        self.usages = usages
        self.charged = charged
        self.stream = stream
        self.id = id_
        self._corrected = False
        self._released = False

    @property
    def headers(self) -> Mapping[str, str]:
        """x-ratelimit-…, as OpenAI has them: of the rule with the least left."""
        if self._headers is None:
            self._headers = headers(self.usages)
        return self._headers

    def correct(self, tokens: int) -> None:
        """Count `tokens` in place of what was estimated."""
        if self._counters is not None and not self._corrected:
            self._counters.correct(self, tokens)
        self._corrected = True

    def release(self) -> None:
        """The stream is over."""
        if self._counters is not None and self.stream and not self._released:
            self._counters.release(self)
        self._released = True


def charge(estimate: int, limit: int) -> int:
    """What an estimate takes under a limit: no more than a whole minute's. The rest is taken by `correct`."""
    return min(estimate, limit)


def headers(usages: Sequence[LimitUsage]) -> dict[str, str]:
    """limit, remaining and reset, of requests and of tokens; nothing for what has no limit."""
    requests = [(one.requests, one.applied.rule.requests) for one in usages]
    tokens = [(one.tokens, one.applied.rule.tokens) for one in usages]
    return _said_of("requests", requests) | _said_of("tokens", tokens)


def _said_of(what: str, usages: Sequence[tuple[float, int]]) -> dict[str, str]:
    """`usages`: the seconds that are used of each minute, and its limit, 0 where it has none."""
    rows = [(_left(used, limit), used, limit) for used, limit in usages if limit]
    if not rows:
        return {}
    left, used, limit = rows[0] if len(rows) == 1 else min(rows, key=itemgetter(0))
    return {
        f"x-ratelimit-limit-{what}": str(limit),
        f"x-ratelimit-remaining-{what}": str(left),
        f"x-ratelimit-reset-{what}": duration(used),
    }


def _left(used: float, limit: int) -> int:
    return max(0, int((MINUTE - used) * limit / MINUTE + 1e-3))


def duration(seconds: float) -> str:
    """As OpenAI writes it: 6ms, 1s, 1.5s, 6m0s."""
    if seconds < 1:
        return f"{max(0, round(seconds * 1000))}ms"
    minutes, rest = divmod(round(seconds, 3), 60)
    left = f"{rest:.3f}".rstrip("0").rstrip(".") + "s"
    return f"{int(minutes)}m{left}" if minutes else left
