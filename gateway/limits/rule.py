"""What a rule limits, and which rules apply to a call.

A rule names a tenant, a caller (a key, or the subject of a caller without one) and a model. A name stands for that
one, "*" for each one by itself, and "" says that the rule counts all of them together. Rules that look at the same
(callers or tenants or everybody, with or without the model) are of one shape: of each shape the most specific rule
applies, and rules of different shapes apply together.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote

from services.runtime.errors import InvalidArgument
from services.runtime.identity import Identity

EACH = "*"
MINUTE = 60.0


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
class Asked:
    """What a call is limited by."""

    tenant: str
    caller: str
    model: str


@dataclass(frozen=True, slots=True)
class Limited:
    """A rule that applies to a call, and the bucket in which it counts."""

    rule: Rule
    bucket: str


def asked(who: Identity, model: str) -> Asked:
    return Asked(who.tenant, who.key or who.subject, model)


def applying(rules: Iterable[Rule], call: Asked) -> tuple[Limited, ...]:
    """The rules that apply to the call, the most specific of each shape."""
    chosen: dict[tuple[str, bool], Rule] = {}
    for rule in rules:
        if not _matches(rule, call):
            continue
        other = chosen.get(rule.shape)
        if other is None or rule.rank > other.rank:
            chosen[rule.shape] = rule
    return tuple(Limited(rule, _bucket(rule, call)) for _, rule in sorted(chosen.items()))


def check(rule: Rule) -> Rule:
    """The rule, if it makes sense. Raises InvalidArgument."""
    if min(rule.requests, rule.tokens, rule.streams) < 0:
        raise InvalidArgument("a limit is 0 (none) or more")
    if _named(rule.caller) and not _named(rule.tenant):
        raise InvalidArgument("a limit for one key names the key's tenant too", field="tenant")
    return rule


def _named(value: str) -> bool:
    return value not in ("", EACH)


def _matches(rule: Rule, call: Asked) -> bool:
    return (
        rule.tenant in ("", EACH, call.tenant)
        and rule.caller in ("", EACH, call.caller)
        and rule.model in ("", EACH, call.model)
    )


def _bucket(rule: Rule, call: Asked) -> str:
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
