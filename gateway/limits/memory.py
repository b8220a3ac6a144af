"""Counters in this process's memory.

Requests and tokens by the generic cell rate algorithm: a bucket knows when it will be full again, one number each. A
minute's worth may come at once, and comes back evenly.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.limits.errors import RateLimited
from gateway.limits.rule import MINUTE, Limited, Rule
from gateway.limits.ticket import Standing, Ticket, charge, headers

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

    def admit(self, plan: Sequence[Limited], tokens: int, stream: bool) -> Ticket:
        """Let the call in under all rules, or raise RateLimited and count nothing."""
        now = self._clock()
        buckets = [self._bucket(limited.bucket) for limited in plan]
        for limited, bucket in zip(plan, buckets, strict=True):
            self._check(plan, limited, bucket, now, tokens, stream)
        standings = [_take(limited, bucket, now, tokens, stream) for limited, bucket in zip(plan, buckets, strict=True)]
        return Ticket(self, standings, tokens, stream)

    def correct(self, ticket: Ticket, tokens: int) -> None:
        now = self._clock()
        for standing in ticket.standings:
            rule = standing.limited.rule
            if rule.tokens:
                more = tokens - charge(ticket.charged, rule.tokens)
                bucket = self._bucket(standing.limited.bucket)
                bucket.tokens = max(bucket.tokens, now) + more * MINUTE / rule.tokens

    def release(self, ticket: Ticket) -> None:
        for standing in ticket.standings:
            bucket = self._bucket(standing.limited.bucket)
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
        self, plan: Sequence[Limited], limited: Limited, bucket: Bucket, now: float, tokens: int, stream: bool
    ) -> None:
        rule = limited.rule
        if rule.requests and (wait := _wait(bucket.requests - now, 1, rule.requests)) > 0:
            raise self._refusal(plan, limited, "requests", now).retry_in(wait)
        if rule.tokens and (wait := _wait(bucket.tokens - now, charge(tokens, rule.tokens), rule.tokens)) > 0:
            raise self._refusal(plan, limited, "tokens", now).retry_in(wait)
        if rule.streams and stream and bucket.streams >= rule.streams:
            raise self._refusal(plan, limited, "streams", now).retry_in(1.0)

    def _refusal(self, plan: Sequence[Limited], limited: Limited, what: str, now: float) -> RateLimited:
        standings = [_standing(one, self._bucket(one.bucket), now) for one in plan]
        return RateLimited(limited, what, headers(standings))


def _wait(used: float, count: int, limit: int) -> float:
    """Seconds until `count` more are free; 0 or less if they are."""
    each = MINUTE / limit
    return max(used, 0.0) + (count - SLACK) * each - MINUTE


def _take(limited: Limited, bucket: Bucket, now: float, tokens: int, stream: bool) -> Standing:
    rule: Rule = limited.rule
    if rule.requests:
        bucket.requests = max(bucket.requests, now) + MINUTE / rule.requests
    if rule.tokens:
        bucket.tokens = max(bucket.tokens, now) + charge(tokens, rule.tokens) * MINUTE / rule.tokens
    if stream:
        bucket.streams += 1
    return _standing(limited, bucket, now)


def _standing(limited: Limited, bucket: Bucket, now: float) -> Standing:
    return Standing(limited, max(0.0, bucket.requests - now), max(0.0, bucket.tokens - now))
