"""`headworks usage`."""

from itertools import islice
from pathlib import Path
from typing import Any

import click
from headworks.gateway.v1 import usage_service_pb2 as pb

from cli.files import destination, write_pieces
from cli.messages import as_dict, list_all, set_fields
from cli.options import MeshOptions, Verb, between_options, on_mesh, tenant_option
from cli.output import cost, print_list

CALLS = {"time": "time", "subject": "subject", "model": "model", "read": "prompt_tokens",
         "written": "completion_tokens", "seconds": "seconds", "finish": "finish_reason", "cost": "cost",
         "agent": "agent"}  # fmt: skip
FIRST = ("time", "model", "read", "written", "cost", "subject")
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


def filter_options(verb: Verb) -> Verb:
    verb = click.option("--model", default="", help="Answered by this model of the catalogue.")(verb)
    verb = click.option("--agent", default="", help="Of this agent or model, as it was asked for.")(verb)
    verb = click.option("--of-key", default="", help="Of this API key, by its id.")(verb)
    verb = click.option("--project", default="", help="Of this project, by its id.")(verb)
    return tenant_option(between_options(verb))


@usage.command("list")
@click.option("--subject", default="", help="Of this user or service account, by name.")
@click.option("--most", type=click.IntRange(1, 100_000), default=100, show_default=True, help="The most calls shown.")
@filter_options
@on_mesh(60)
def list_(subject: str, most: int, on: MeshOptions, **options: Any) -> None:
    """List settled calls, the latest first.

    \b
    Example:
      headworks usage list --since 2026-11-20 --agent analyst
    """
    request = _request(pb.ListUsageRequest(subject=subject), options)
    with on.client() as client:
        records = islice(list_all(client.usage.ListUsage, request, "records"), most)
        rows = [_priced(as_dict(record)) for record in records]
    print_list(on, "calls", rows, CALLS, "No calls were settled.", FIRST)


@usage.command("sum")
@click.option("--by", multiple=True, type=click.Choice(BY), help="Told apart; may be repeated.")
@click.option("--every-tenant", is_flag=True, help="Of all tenants. For operators.")
@filter_options
@on_mesh(60)
def sum_(by: tuple[str, ...], every_tenant: bool, on: MeshOptions, **options: Any) -> None:
    """Add up the settled calls of whole days in UTC.

    \b
    Examples:
      headworks usage sum --by day --by agent
      headworks usage sum --every-tenant --by tenant --since 2026-11-01
    """
    request = _request(pb.SumUsageRequest(every_tenant=every_tenant, by=by), options)
    with on.client() as client:
        rows = [_priced(as_dict(row)) for row in list_all(client.usage.SumUsage, request, "sums")]
    print_list(on, "sums", rows, (*by, *SUMS), "No calls were settled.")


@usage.command()
@click.option("--csv", "file", type=click.Path(path_type=Path), required=True, help="The file to write; - to print.")
@filter_options
@on_mesh(600)
def export(file: Path, on: MeshOptions, **options: Any) -> None:
    """Write every settled call as CSV, the oldest first.

    \b
    Examples:
      headworks usage export --csv november.csv --since 2026-11-01 --until 2026-12-01
      headworks usage export --csv - | head
    """
    request = _request(pb.ExportUsageRequest(), options)
    with destination(file) as out, on.client() as client:
        write_pieces(client.usage.ExportUsage(request), out)


def _request(request: Any, options: dict[str, Any]) -> Any:
    """The request with the options that are set: --of-key is its key, as --key is the caller's own."""
    of_key = options.pop("of_key")
    return set_fields(request, options | {"key": of_key})


def _priced(record: dict[str, Any]) -> dict[str, Any]:
    return record | {"cost": cost(record["cost_nanos"])}
