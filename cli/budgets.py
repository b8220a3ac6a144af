"""`headworks budgets`."""

from decimal import Decimal, InvalidOperation
from typing import Any

import click

from cli.admin import confirm, done, every, facts, show_all, show_one, tenant_option, yes_option
from cli.errors import USAGE, CliError
from cli.target import Target, on_mesh

COLUMNS = ("id", "scope", "scope_id", "period", "unit", "amount", "spent", "held", "reset_time")
ALERTS = ("budget", "period", "percent", "spent", "amount", "create_time")
PERIODS = {"day": 1, "month": 2}
SCOPES = {"tenant": 1, "project": 2, "of_key": 3, "agent": 4}
TOKENS, MONEY = 1, 2
NANOS = 1_000_000_000
MOST = 2**62


@click.group()
def budgets() -> None:
    """How much may be used in a day or a month, in tokens or in money, by a tenant, project, key or agent.

    \b
    Examples:
      headworks budgets create --per month --money 100
      headworks budgets create --per day --tokens 500000 --agent analyst
      headworks budgets list
      headworks budgets set bud_… --money 200
      headworks budgets alerts
    """


def amount_options(verb: Any) -> Any:
    verb = click.option("--money", help="The most, in the catalogue's currency, such as 12.50.")(verb)
    return click.option("--tokens", type=click.IntRange(0, MOST), help="The most, in tokens.")(verb)


@budgets.command()
@click.option("--per", type=click.Choice(list(PERIODS)), required=True, help="When it begins anew, in UTC.")
@amount_options
@click.option("--project", default="", help="Of this project, by its id.")
@click.option("--of-key", default="", help="Of this API key, by its id.")
@click.option("--agent", default="", help="Of this agent or model.")
@tenant_option
@on_mesh(30)
def create(per: str, tokens: int | None, money: str | None, tenant: str, on: Target, **of: str) -> None:
    """Make a budget: of the whole tenant, or of a project, a key or an agent.

    \b
    Examples:
      headworks budgets create --per month --money 100
      headworks budgets create --per day --tokens 500000 --of-key key_…
    """
    from headworks.gateway.v1 import budget_service_pb2 as pb

    unit, amount = _amount(tokens, money)
    named = [(SCOPES[scope], name) for scope, name in of.items() if name] or [(SCOPES["tenant"], "")]
    if len(named) > 1:
        raise CliError("a budget is of one thing: give one of --project, --of-key and --agent", USAGE)
    request: Any = pb.CreateBudgetRequest(tenant=tenant, amount=amount)
    request.period, request.unit = PERIODS[per], unit
    request.scope, request.scope_id = named[0]
    with on.calling() as client:
        made = client.budgets.CreateBudget(request, **on.options(client)).budget
    show_one(on, _budget(on, made))


@budgets.command("list")
@tenant_option
@on_mesh(30)
def list_(tenant: str, on: Target) -> None:
    """List the budgets with what was used and what calls under way hold.

    \b
    Example:
      headworks budgets list --json
    """
    from headworks.gateway.v1 import budget_service_pb2 as pb

    with on.calling() as client:
        request = pb.ListBudgetsRequest(tenant=tenant)
        found = [_budget(on, one) for one in every(client.budgets.ListBudgets, request, "budgets", on.options(client))]
    show_all(on, "budgets", found, COLUMNS, "No budgets: nothing is bounded. Make one with `headworks budgets create`.")


@budgets.command("set")
@click.argument("budget_id")
@amount_options
@tenant_option
@on_mesh(30)
def set_(budget_id: str, tokens: int | None, money: str | None, tenant: str, on: Target) -> None:
    """Change the amount of the budget BUDGET_ID, for the present period too.

    \b
    Example:
      headworks budgets set bud_… --money 200
    """
    from headworks.gateway.v1 import budget_service_pb2 as pb

    _, amount = _amount(tokens, money)
    with on.calling() as client:
        request = pb.UpdateBudgetRequest(tenant=tenant, id=budget_id, amount=amount)
        show_one(on, _budget(on, client.budgets.UpdateBudget(request, **on.options(client)).budget))


@budgets.command()
@click.argument("budget_id")
@tenant_option
@yes_option
@on_mesh(30)
def delete(budget_id: str, tenant: str, yes: bool, on: Target) -> None:
    """Delete the budget BUDGET_ID: what it bounded is bounded no more.

    \b
    Example:
      headworks budgets delete bud_… --yes
    """
    from headworks.gateway.v1 import budget_service_pb2 as pb

    confirm(on, f"Delete the budget {budget_id}? What it bounded is bounded no more.", yes)
    with on.calling() as client:
        client.budgets.DeleteBudget(pb.DeleteBudgetRequest(tenant=tenant, id=budget_id), **on.options(client))
    done(on, f"Deleted {budget_id}.", deleted=budget_id)


@budgets.command()
@tenant_option
@on_mesh(30)
def alerts(tenant: str, on: Target) -> None:
    """List the budgets that reached 50, 80 or 100 per cent, the latest first.

    \b
    Example:
      headworks budgets alerts
    """
    from headworks.gateway.v1 import budget_service_pb2 as pb

    with on.calling() as client:
        request = pb.ListBudgetAlertsRequest(tenant=tenant, page_size=100)
        found = [facts(one) for one in client.budgets.ListBudgetAlerts(request, **on.options(client)).alerts]
    show_all(on, "alerts", found, ALERTS, "No budget has reached 50 per cent.")


def _amount(tokens: int | None, money: str | None) -> tuple[int, int]:
    """The unit, and how much of it. Raises CliError."""
    if (tokens is None) == (money is None):
        raise CliError("give the amount in one unit: --tokens or --money", USAGE)
    if tokens is not None:
        return TOKENS, tokens
    try:
        nanos = Decimal(str(money)) * NANOS
    except InvalidOperation:
        raise CliError(f"--money {money!r} is no amount: write 12.50", USAGE) from None
    if not nanos.is_finite() or not 0 <= nanos < MOST or nanos != int(nanos):
        raise CliError(f"--money {money!r} is not an amount from 0 to {MOST // NANOS} with at most 9 decimals", USAGE)
    return MONEY, int(nanos)


def _budget(on: Target, one: Any) -> dict[str, Any]:
    """Money for people is in the currency, for programs in nanos."""
    from cli.wording import cost

    told = facts(one)
    if told["unit"] == "money" and not on.as_json:
        told |= {name: cost(told[name]) for name in ("amount", "spent", "held")}
    return told
