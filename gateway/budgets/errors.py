"""What is wrong about a budget."""

from datetime import UTC, datetime

from gateway.budgets.model import Budget, Scope, Unit, end_of
from services.runtime.errors import DomainError, ErrorKind

NANOS = 1_000_000_000


class BudgetExceeded(DomainError):
    """A budget has too little left for the call, or was used up by it. `left`: what was to be had."""

    kind = ErrorKind.RESOURCE_EXHAUSTED
    reason = "BUDGET_EXCEEDED"

    def __init__(self, budget: Budget, period: str, left: int) -> None:
        resets = datetime.fromtimestamp(end_of(period), UTC).isoformat().replace("+00:00", "Z")
        super().__init__(
            f"the budget of {amount(budget.amount, budget.unit)} a {budget.period} {_whose(budget)} has "
            f"{amount(left, budget.unit)} left, too little for this call; it resets at {resets}",
            budget=budget.id,
            scope=budget.scope,
            unit=budget.unit,
            limit=str(budget.amount),
            left=str(left),
            period=period,
            resets=resets,
        )
        self.period = period


class BudgetNotFound(DomainError):
    kind = ErrorKind.NOT_FOUND
    reason = "BUDGET_NOT_FOUND"

    def __init__(self, id_: str) -> None:
        super().__init__(f"there is no budget {id_!r}", budget=id_)


class BudgetExists(DomainError):
    kind = ErrorKind.ALREADY_EXISTS
    reason = "BUDGET_EXISTS"

    def __init__(self, scope: Scope, scope_id: str) -> None:
        super().__init__(
            f"there is a budget of this unit and period for the {scope} {scope_id!r} already; change that one",
            scope=scope,
            scope_id=scope_id,
        )


def amount(value: int, unit: Unit) -> str:
    """As people read it: 1,000 tokens, or 2.5 in money."""
    if unit is Unit.TOKENS:
        return f"{value:,} tokens"
    return f"{value / NANOS:,.9f}".rstrip("0").rstrip(".") + " in money"


def _whose(budget: Budget) -> str:
    return f"of {budget.scope} {budget.scope_id!r}"
