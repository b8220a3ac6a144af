"""Counters in memory."""

import time
from collections.abc import Sequence

import pytest

from gateway.limits.errors import RateLimited
from gateway.limits.memory import MemoryCounters
from gateway.limits.model import AppliedRule, LimitUsage, RateLimitDecision, Rule, duration, headers
from gateway.limits.service import RateLimits, RuleBook, default_rule
from services.runtime.identity import Identity


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def plan(*rules: Rule) -> Sequence[AppliedRule]:
    return [AppliedRule(rule, rule.id) for rule in rules]


def admitted(
    counters: MemoryCounters, rules: Sequence[AppliedRule], tokens: int = 1, stream: bool = False
) -> RateLimitDecision | None:
    try:
        return counters.admit(rules, tokens, stream)
    except RateLimited:
        return None


@pytest.mark.parametrize("limit", [1, 3, 7, 60, 997, 10_000])
def test_exactly_so_many_requests_at_once(limit: int) -> None:
    counters = MemoryCounters(clock=Clock())
    rules = plan(Rule("r", requests=limit))
    assert sum(admitted(counters, rules) is not None for _ in range(limit + 5)) == limit


@pytest.mark.parametrize("limit", [1, 7, 60])
def test_the_minute_comes_back_evenly(limit: int) -> None:
    clock = Clock()
    counters = MemoryCounters(clock=clock)
    rules = plan(Rule("r", requests=limit))
    for _ in range(limit):
        assert admitted(counters, rules)
    with pytest.raises(RateLimited) as refused:
        counters.admit(rules, 1, False)
    assert refused.value.retry_after == pytest.approx(60 / limit, rel=0.01)
    clock.now += 60 / limit
    assert admitted(counters, rules)
    assert not admitted(counters, rules)


def test_tokens_are_counted_and_corrected() -> None:
    clock = Clock()
    counters = MemoryCounters(clock=clock)
    rules = plan(Rule("r", tokens=600))
    decision = counters.admit(rules, 400, False)
    assert not admitted(counters, rules, 300)
    decision.correct(100)
    decision.correct(0)
    assert admitted(counters, rules, 500)
    assert not admitted(counters, rules, 1)
    clock.now += 10
    assert admitted(counters, rules, 100)


def test_an_estimate_beyond_the_limit_takes_the_whole_minute_and_pays_later() -> None:
    clock = Clock()
    counters = MemoryCounters(clock=clock)
    rules = plan(Rule("r", tokens=600))
    counters.admit(rules, 5_000, False).correct(1_200)
    clock.now += 60
    assert not admitted(counters, rules, 1)
    clock.now += 1
    assert admitted(counters, rules, 10)


def test_streams_are_counted_until_they_end() -> None:
    counters = MemoryCounters(clock=Clock())
    rules = plan(Rule("r", streams=2))
    first = counters.admit(rules, 1, True)
    counters.admit(rules, 1, True)
    assert not admitted(counters, rules, stream=True)
    assert admitted(counters, rules, stream=False)
    first.release()
    first.release()
    assert admitted(counters, rules, stream=True)
    assert not admitted(counters, rules, stream=True)


def test_a_refusal_under_one_rule_counts_under_none() -> None:
    counters = MemoryCounters(clock=Clock())
    wide, narrow = plan(Rule("wide", requests=2), Rule("narrow", tokens=1))
    assert admitted(counters, [wide, narrow])
    for _ in range(5):
        assert not admitted(counters, [wide, narrow])
    assert admitted(counters, [wide])


def test_a_refusal_says_what_and_when() -> None:
    counters = MemoryCounters(clock=Clock())
    rules = plan(Rule("r", tenant="acme", requests=1))
    counters.admit(rules, 1, False)
    with pytest.raises(RateLimited, match="1 requests a minute is reached for this tenant") as refused:
        counters.admit(rules, 1, False)
    assert refused.value.details == {"rule": "r", "limit": "requests", "value": "1", "scope": "tenant"}
    assert refused.value.headers["x-ratelimit-remaining-requests"] == "0"


def test_buckets_are_bounded_and_open_streams_stay() -> None:
    counters = MemoryCounters(limit=3, clock=Clock())
    held = plan(Rule("held", streams=1))
    counters.admit(held, 1, True)
    for number in range(10):
        counters.admit(plan(Rule(f"r{number}", requests=1)), 1, False)
    assert len(counters) == 3
    assert not admitted(counters, held, stream=True)


def test_headers_tell_of_the_rule_with_the_least_left() -> None:
    wide, narrow = plan(Rule("wide", requests=100, tokens=1_000), Rule("narrow", requests=10))
    made = headers([LimitUsage(wide, 0.6, 30.0), LimitUsage(narrow, 12.0, 0.0)])
    assert made == {
        "x-ratelimit-limit-requests": "10",
        "x-ratelimit-remaining-requests": "8",
        "x-ratelimit-reset-requests": "12s",
        "x-ratelimit-limit-tokens": "1000",
        "x-ratelimit-remaining-tokens": "500",
        "x-ratelimit-reset-tokens": "30s",
    }


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0ms"), (0.006, "6ms"), (1, "1s"), (1.5, "1.5s"), (59.9999, "1m0s"), (360, "6m0s")]
)
def test_durations_are_written_as_openai_does(seconds: float, text: str) -> None:
    assert duration(seconds) == text


async def test_an_admission_is_cheap() -> None:
    book = RuleBook(default_rule(10_000_000, 1_000_000_000, 1_000))
    book.set([Rule("t", tenant="acme", requests=10_000_000), Rule("m", model="*", tokens=1_000_000_000)])
    limits = RateLimits(book)
    who = Identity("acme", "user", frozenset({"*"}), key="key_1")
    fastest = float("inf")
    for _ in range(20):
        begun = time.thread_time()
        for _ in range(500):
            await limits.admit(who, "rag", 100, False)
        fastest = min(fastest, (time.thread_time() - begun) / 500)
    assert fastest < 50e-6  # a few microseconds on a quiet machine
    print(f"{fastest * 1e6:.2f} µs for three rules")
