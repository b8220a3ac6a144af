"""`headworks usage`."""

from pathlib import Path
from typing import Any

import click

from cli.admin import asked, between_options, every, facts, show_all, tenant_option
from cli.exporting import destination, write_pieces
from cli.options import Verb
from cli.target import Target, on_mesh

CALLS = ("time", "subject", "agent", "model", "prompt_tokens", "completion_tokens", "cost", "finish_reason", "seconds")
SUMS = ("calls", "prompt_tokens", "completion_tokens", "cached_tokens", "cost")
BY = ("day", "tenant", "project", "key", "agent", "model")


@click.group()
def usage() -> None:
    """What was used, and its price: settled calls and their sums.

    \b
    Examples:
      headworks usage sum --by day --by agent
      headworks usage list --since 2026-11-01 --agent analyst
      headworks usage export --csv november.csv --since 2026-11-01 --until 2026-12-01
    """


def wanted_options(verb: Verb) -> Verb:
    verb = click.option("--model", default="", help="Answered by this model of the catalogue.")(verb)
    verb = click.option("--agent", default="", help="Of this agent or model, as it was asked for.")(verb)
    verb = click.option("--of-key", default="", help="Of this API key, by its id.")(verb)
    verb = click.option("--project", default="", help="Of this project, by its id.")(verb)
    return tenant_option(between_options(verb))


@usage.command("list")
@click.option("--subject", default="", help="Of this user or service account, by name.")
@click.option("--most", type=click.IntRange(1, 100_000), default=100, show_default=True, help="The most calls shown.")
@wanted_options
@on_mesh(60)
def list_(subject: str, most: int, on: Target, **given: Any) -> None:
    """List settled calls, the latest first.

    \b
    Example:
      headworks usage list --since 2026-11-20 --agent analyst
    """
    from headworks.gateway.v1 import usage_service_pb2 as pb

    request = _asked(pb.ListUsageRequest(subject=subject), given)
    found: list[dict[str, Any]] = []
    with on.calling() as client:
        for one in every(client.usage.ListUsage, request, "records", on.options(client)):
            found.append(_priced(facts(one)))
            if len(found) == most:
                break
    show_all(on, "calls", found, CALLS, "No calls were settled.")


@usage.command("sum")
@click.option("--by", multiple=True, type=click.Choice(BY), help="Told apart; may be repeated.")
@click.option("--every-tenant", is_flag=True, help="Of all tenants. For operators.")
@wanted_options
@on_mesh(60)
def sum_(by: tuple[str, ...], every_tenant: bool, on: Target, **given: Any) -> None:
    """Add up the settled calls of whole days in UTC.

    \b
    Examples:
      headworks usage sum --by day --by agent
      headworks usage sum --every-tenant --by tenant --since 2026-11-01
    """
    from headworks.gateway.v1 import usage_service_pb2 as pb

    request = _asked(pb.SumUsageRequest(every_tenant=every_tenant, by=by), given)
    with on.calling() as client:
        found = [_priced(facts(one)) for one in every(client.usage.SumUsage, request, "sums", on.options(client))]
    show_all(on, "sums", found, (*by, *SUMS), "No calls were settled.")


@usage.command()
@click.option("--csv", "file", type=click.Path(path_type=Path), required=True, help="The file to write; - to print.")
@wanted_options
@on_mesh(600)
def export(file: Path, on: Target, **given: Any) -> None:
    """Write every settled call as CSV, the oldest first.

    \b
    Examples:
      headworks usage export --csv november.csv --since 2026-11-01 --until 2026-12-01
      headworks usage export --csv - | head
    """
    from headworks.gateway.v1 import usage_service_pb2 as pb

    request = _asked(pb.ExportUsageRequest(), given)
    with destination(file) as out, on.calling() as client:
        write_pieces(client.usage.ExportUsage(request, **on.options(client)), out)


def _asked(request: Any, given: dict[str, Any]) -> Any:
    """The request with the options that were given; --key is the caller's own, and another one."""
    of_key = given.pop("of_key")
    return asked(request, given | {"key": of_key})


def _priced(told: dict[str, Any]) -> dict[str, Any]:
    from cli.wording import cost

    return told | {"cost": cost(told["cost_nanos"])}
