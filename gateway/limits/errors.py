"""Errors of calls over a limit, and of changes of the rules."""

from collections.abc import Mapping

from gateway.limits.model import MOST_RULES, AppliedRule, Rule
from services.runtime.errors import DomainError, ErrorKind, Unavailable

WORDS = {
    "requests": "{limit} requests a minute",
    "tokens": "{limit} tokens a minute",
    "streams": "{limit} streams at once",
}


class RateLimited(DomainError):
    """The call is over a limit. `headers` are those that tell where it stands."""

    kind = ErrorKind.RESOURCE_EXHAUSTED
    reason = "RATE_LIMITED"

    def __init__(self, applied: AppliedRule, what: str, headers: Mapping[str, str]) -> None:
        rule = applied.rule
        limit = getattr(rule, what)
        words = WORDS[what].format(limit=limit)
        looks_at, with_model = rule.shape
        whose = {"caller": "this API key", "tenant": "this tenant", "all": "everybody"}[looks_at]
        super().__init__(
            f"the rate limit of {words} is reached for {whose}{' and this model' if with_model else ''}",
            rule=rule.id,
            limit=what,
            value=str(limit),
            scope=looks_at + ("+model" if with_model else ""),
        )
        self.what = what
        self.headers = headers


class LimitsUnavailable(Unavailable):
    """The counters that replicas share cannot be reached, and the gateway was told to refuse calls then."""

    reason = "LIMITS_UNAVAILABLE"

    def __init__(self) -> None:
        super().__init__("the rate limits cannot be checked")


class LimitNotFound(DomainError):
    kind = ErrorKind.NOT_FOUND
    reason = "LIMIT_NOT_FOUND"

    def __init__(self, id_: str) -> None:
        super().__init__(f"there is no rate limit {id_!r}", limit=id_)


class LimitExists(DomainError):
    kind = ErrorKind.ALREADY_EXISTS
    reason = "LIMIT_EXISTS"

    def __init__(self, rule: Rule) -> None:
        super().__init__(
            "there is a rate limit for this already; change that one",
            tenant=rule.tenant,
            caller=rule.caller,
            model=rule.model,
        )


class TooManyLimits(DomainError):
    kind = ErrorKind.RESOURCE_EXHAUSTED
    reason = "TOO_MANY_LIMITS"

    def __init__(self) -> None:
        super().__init__(f"there are {MOST_RULES} rate limits, and there may be no more")
