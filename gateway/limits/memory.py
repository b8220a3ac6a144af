"""Counters in this process's memory.

Requests and tokens by the generic cell rate algorithm: a bucket knows when it will be full again, one number each. A
minute's worth may come at once, and comes back evenly.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.limits.errors import RateLimited
from gateway.limits.model import MINUTE, AppliedRule, LimitUsage, RateLimitDecision, Rule, charge, headers

# Of one request or token: sums of floats come out a little off.
SLACK = 1e-3
LOOKS = 8


@dataclass(slots=True)
class Bucket:
    """`requests` and `tokens`: when all of the minute's is free again. `streams`: how many are open."""

    requests: float = 0.0
    tokens: float = 0.0
    streams: int = 0


class MemoryCounters:
    """At most `limit` buckets; beyond that the one that was unused the longest is forgotten."""

    def __init__(self, limit: int = 100_000, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def admit(self, plan: Sequence[AppliedRule], tokens: int, stream: bool) -> RateLimitDecision:
        """Admit the call under all rules, or raise RateLimited and count nothing."""
        now = self._clock()
        buckets = [self._bucket(applied.bucket) for applied in plan]
        for applied, bucket in zip(plan, buckets, strict=True):
            self._check(plan, applied, bucket, now, tokens, stream)
        usages = [_take(applied, bucket, now, tokens, stream) for applied, bucket in zip(plan, buckets, strict=True)]
        return RateLimitDecision(self, usages, tokens, stream)

    def correct(self, decision: RateLimitDecision, tokens: int) -> None:
        now = self._clock()
        for usage in decision.usages:
            rule = usage.applied.rule
            if rule.tokens:
                more = tokens - charge(decision.charged, rule.tokens)
                bucket = self._bucket(usage.applied.bucket)
                bucket.tokens = max(bucket.tokens, now) + more * MINUTE / rule.tokens

    def release(self, decision: RateLimitDecision) -> None:
        for usage in decision.usages:
            bucket = self._bucket(usage.applied.bucket)
            bucket.streams = max(0, bucket.streams - 1)

    def _bucket(self, name: str) -> Bucket:
        bucket = self._buckets.get(name)
        if bucket is not None:
            self._buckets.move_to_end(name)
            return bucket
        bucket = self._buckets[name] = Bucket()
        if len(self._buckets) > self._limit:
            self._forget()
        return bucket

    def _forget(self) -> None:
        """Those with open streams have their turn later."""
        for _ in range(LOOKS):
            if len(self._buckets) <= self._limit:
                return
            name, oldest = self._buckets.popitem(last=False)
            if oldest.streams:
                self._buckets[name] = oldest

    def _check(
        self, plan: Sequence[AppliedRule], applied: AppliedRule, bucket: Bucket, now: float, tokens: int, stream: bool
    ) -> None:
        rule = applied.rule
        if rule.requests and (wait := _wait(bucket.requests - now, 1, rule.requests)) > 0:
            raise self._refusal(plan, applied, "requests", now).retry_in(wait)
        if rule.tokens and (wait := _wait(bucket.tokens - now, charge(tokens, rule.tokens), rule.tokens)) > 0:
            raise self._refusal(plan, applied, "tokens", now).retry_in(wait)
        if rule.streams and stream and bucket.streams >= rule.streams:
            raise self._refusal(plan, applied, "streams", now).retry_in(1.0)

    def _refusal(self, plan: Sequence[AppliedRule], applied: AppliedRule, what: str, now: float) -> RateLimited:
        usages = [_usage(one, self._bucket(one.bucket), now) for one in plan]
        return RateLimited(applied, what, headers(usages))


def _wait(used: float, count: int, limit: int) -> float:
    """Seconds until `count` more are free; 0 or less if they are."""
    each = MINUTE / limit
    return max(used, 0.0) + (count - SLACK) * each - MINUTE


def _take(applied: AppliedRule, bucket: Bucket, now: float, tokens: int, stream: bool) -> LimitUsage:
    rule: Rule = applied.rule
    if rule.requests:
        bucket.requests = max(bucket.requests, now) + MINUTE / rule.requests
    if rule.tokens:
        bucket.tokens = max(bucket.tokens, now) + charge(tokens, rule.tokens) * MINUTE / rule.tokens
    if stream:
        bucket.streams += 1
    return _usage(applied, bucket, now)


def _usage(applied: AppliedRule, bucket: Bucket, now: float) -> LimitUsage:
    return LimitUsage(applied, max(0.0, bucket.requests - now), max(0.0, bucket.tokens - now))
