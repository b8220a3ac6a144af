"""`headworks budgets`."""

from decimal import Decimal, InvalidOperation
from typing import Any

import click
from headworks.gateway.v1 import budget_service_pb2 as pb
from headworks.gateway.v1.budget_pb2 import Budget

from cli.errors import USAGE, CliError
from cli.messages import as_dict, list_all
from cli.options import MeshOptions, Verb, confirm, on_mesh, tenant_option, yes_option
from cli.output import cost, print_done, print_list, print_record

COLUMNS = ("id", "period", "unit", "amount", "spent", "scope", "scope_id", "reset_time", "held")
ALERTS = ("budget", "period", "percent", "spent", "amount", "create_time")
PERIODS = {"day": Budget.PERIOD_DAY, "month": Budget.PERIOD_MONTH}
SCOPES = {"project": Budget.SCOPE_PROJECT, "of_key": Budget.SCOPE_KEY, "agent": Budget.SCOPE_AGENT}
NANOS = 1_000_000_000
MOST = 2**62
NONE = "No budgets: nothing is bounded. Make one with `headworks budgets create`."


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


def amount_options(verb: Verb) -> Verb:
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
def create(per: str, tokens: int | None, money: str | None, tenant: str, on: MeshOptions, **of: str) -> None:
    """Make a budget: of the whole tenant, or of a project, a key or an agent.

    \b
    Examples:
      headworks budgets create --per month --money 100
      headworks budgets create --per day --tokens 500000 --of-key key_…
    """
    unit, amount = _amount(tokens, money)
    scopes = [(SCOPES[scope], name) for scope, name in of.items() if name] or [(Budget.SCOPE_TENANT, "")]
    if len(scopes) > 1:
        raise CliError("a budget is of one thing: give one of --project, --of-key and --agent", USAGE)
    scope, scope_id = scopes[0]
    request = pb.CreateBudgetRequest(
        tenant=tenant, scope=scope, scope_id=scope_id, period=PERIODS[per], unit=unit, amount=amount
    )
    with on.client() as client:
        print_record(on, _budget(on, client.budgets.CreateBudget(request).budget))


@budgets.command("list")
@tenant_option
@on_mesh(30)
def list_(tenant: str, on: MeshOptions) -> None:
    """List the budgets with what was used and what calls under way hold.

    \b
    Example:
      headworks budgets list --json
    """
    with on.client() as client:
        request = pb.ListBudgetsRequest(tenant=tenant)
        rows = [_budget(on, row) for row in list_all(client.budgets.ListBudgets, request, "budgets")]
    print_list(on, "budgets", rows, COLUMNS, NONE)


@budgets.command("set")
@click.argument("budget_id")
@amount_options
@tenant_option
@on_mesh(30)
def set_(budget_id: str, tokens: int | None, money: str | None, tenant: str, on: MeshOptions) -> None:
    """Change the amount of the budget BUDGET_ID, for the present period too.

    \b
    Example:
      headworks budgets set bud_… --money 200
    """
    _, amount = _amount(tokens, money)
    with on.client() as client:
        request = pb.UpdateBudgetRequest(tenant=tenant, id=budget_id, amount=amount)
        print_record(on, _budget(on, client.budgets.UpdateBudget(request).budget))


@budgets.command()
@click.argument("budget_id")
@tenant_option
@yes_option
@on_mesh(30)
def delete(budget_id: str, tenant: str, yes: bool, on: MeshOptions) -> None:
    """Delete the budget BUDGET_ID: what it bounded is bounded no more.

    \b
    Example:
      headworks budgets delete bud_… --yes
    """
    confirm(on, f"Delete the budget {budget_id}? What it bounded is bounded no more.", yes)
    with on.client() as client:
        client.budgets.DeleteBudget(pb.DeleteBudgetRequest(tenant=tenant, id=budget_id))
    print_done(on, f"Deleted {budget_id}.", deleted=budget_id)


@budgets.command()
@tenant_option
@on_mesh(30)
def alerts(tenant: str, on: MeshOptions) -> None:
    """List the budgets that reached 50, 80 or 100 per cent, the latest first.

    \b
    Example:
      headworks budgets alerts
    """
    with on.client() as client:
        request = pb.ListBudgetAlertsRequest(tenant=tenant, page_size=100)
        rows = [as_dict(row) for row in client.budgets.ListBudgetAlerts(request).alerts]
    print_list(on, "alerts", rows, ALERTS, "No budget has reached 50 per cent.")


def _amount(tokens: int | None, money: str | None) -> "tuple[Budget.Unit.ValueType, int]":
    """The unit, and how much of it. Raises CliError."""
    if (tokens is None) == (money is None):
        raise CliError("give the amount in one unit: --tokens or --money", USAGE)
    if tokens is not None:
        return Budget.UNIT_TOKENS, tokens
    try:
        nanos = Decimal(str(money)) * NANOS
    except InvalidOperation:
        raise CliError(f"--money {money!r} is no amount: write 12.50", USAGE) from None
    if not nanos.is_finite() or not 0 <= nanos < MOST or nanos != int(nanos):
        raise CliError(f"--money {money!r} is not an amount from 0 to {MOST // NANOS} with at most 9 decimals", USAGE)
    return Budget.UNIT_MONEY, int(nanos)


def _budget(on: MeshOptions, row: Any) -> dict[str, Any]:
    """Money for people is in the currency, for programs in nanos."""
    record = as_dict(row)
    if record["unit"] == "money" and not on.as_json:
        record |= {name: cost(record[name]) for name in ("amount", "spent", "held")}
    return record
