"""Protobuf from budgets, rate limits and usage, and back. Pure."""

from collections.abc import Mapping
from typing import Any

from headworks.gateway.v1 import admin_pb2 as pb

from gateway.admin.convert import known, seconds, timestamp
from gateway.budgets.alert import Alert
from gateway.budgets.budget import Period, Scope, Unit
from gateway.budgets.store import BudgetStanding
from gateway.limits.rule import Rule
from gateway.usage.query import Sum
from gateway.usage.record import Usage

SCOPES: Mapping[Scope, "pb.Budget.Scope.ValueType"] = {
    Scope.TENANT: pb.Budget.SCOPE_TENANT,
    Scope.PROJECT: pb.Budget.SCOPE_PROJECT,
    Scope.KEY: pb.Budget.SCOPE_KEY,
    Scope.AGENT: pb.Budget.SCOPE_AGENT,
}
PERIODS: Mapping[Period, "pb.Budget.Period.ValueType"] = {
    Period.DAY: pb.Budget.PERIOD_DAY,
    Period.MONTH: pb.Budget.PERIOD_MONTH,
}
UNITS: Mapping[Unit, "pb.Budget.Unit.ValueType"] = {
    Unit.TOKENS: pb.Budget.UNIT_TOKENS,
    Unit.MONEY: pb.Budget.UNIT_MONEY,
}
ENDS = ("since", "until")


def scope(given: int) -> Scope:
    return known(SCOPES, given, "scope")


def period(given: int) -> Period:
    return known(PERIODS, given, "period")


def unit(given: int) -> Unit:
    return known(UNITS, given, "unit")


def span(request: Any) -> tuple[float | None, float | None]:
    """`since` and `until` of a request, in seconds since the epoch; None where it is not said."""
    begin, end = (seconds(getattr(request, name), name) if request.HasField(name) else None for name in ENDS)
    return begin, end


def budget(one: BudgetStanding) -> pb.Budget:
    return pb.Budget(
        id=one.budget.id,
        tenant=one.budget.tenant,
        scope=SCOPES[one.budget.scope],
        scope_id=one.budget.scope_id,
        period=PERIODS[one.budget.period],
        unit=UNITS[one.budget.unit],
        amount=one.budget.amount,
        spent=one.spent,
        held=one.held,
        reset_time=timestamp(one.resets),
    )


def alert(one: Alert) -> pb.BudgetAlert:
    return pb.BudgetAlert(
        budget=one.budget.id,
        period=one.period,
        percent=one.percent,
        spent=one.spent,
        amount=one.budget.amount,
        create_time=timestamp(one.time),
    )


def rate_limit(one: Rule) -> pb.RateLimit:
    return pb.RateLimit(
        id=one.id,
        tenant=one.tenant,
        caller=one.caller,
        model=one.model,
        requests_per_minute=one.requests,
        tokens_per_minute=one.tokens,
        streams=one.streams,
    )


def usage(one: Usage) -> pb.UsageRecord:
    return pb.UsageRecord(
        id=one.id,
        time=timestamp(one.time),
        tenant=one.tenant,
        project=one.project,
        key=one.key,
        subject=one.subject,
        agent=one.agent,
        agent_version=one.agent_version,
        model=one.model,
        run_id=one.run_id,
        prompt_tokens=one.prompt_tokens,
        completion_tokens=one.completion_tokens,
        cached_tokens=one.cached_tokens,
        cost_nanos=one.cost_nanos,
        finish_reason=one.finish_reason,
        seconds=one.seconds,
    )


def usage_sum(one: Sum) -> pb.UsageSum:
    return pb.UsageSum(
        **one.group,
        calls=one.calls,
        prompt_tokens=one.prompt_tokens,
        completion_tokens=one.completion_tokens,
        cached_tokens=one.cached_tokens,
        cost_nanos=one.cost_nanos,
    )
