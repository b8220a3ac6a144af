"""What is said to a caller who is over a limit."""

from collections.abc import Mapping

from gateway.limits.rule import Limited
from services.runtime.errors import DomainError, Kind, Unavailable

WORDS = {
    "requests": "{limit} requests a minute",
    "tokens": "{limit} tokens a minute",
    "streams": "{limit} streams at once",
}


class RateLimited(DomainError):
    """The call is over a limit. `headers` are those that tell where it stands."""

    kind = Kind.RESOURCE_EXHAUSTED
    reason = "RATE_LIMITED"

    def __init__(self, limited: Limited, what: str, headers: Mapping[str, str]) -> None:
        rule = limited.rule
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
