"""`headworks limits`."""

import click
from headworks.gateway.v1 import rate_limit_service_pb2 as pb

from cli.messages import as_dict
from cli.options import MeshOptions, Verb, confirm, on_mesh, tenant_option, yes_option
from cli.output import print_done, print_list, print_record

COLUMNS = {"id": "id", "requests/min": "requests_per_minute", "tokens/min": "tokens_per_minute", "streams": "streams",
           "caller": "caller", "model": "model", "tenant": "tenant"}  # fmt: skip


@click.group()
def limits() -> None:
    """How much at once: requests and tokens a minute and concurrent streams, by tenant, caller and model.

    \b
    Examples:
      headworks limits create --requests 600 --tokens 200000
      headworks limits create --caller "*" --requests 60
      headworks limits create --model llm --streams 8
      headworks limits list
    """


def figure_options(verb: Verb) -> Verb:
    count = click.IntRange(0, 2**40)
    verb = click.option("--streams", type=count, default=0, help="Streams at once; 0 for no limit.")(verb)
    verb = click.option("--tokens", type=count, default=0, help="Tokens a minute; 0 for no limit.")(verb)
    return click.option("--requests", type=count, default=0, help="Requests a minute; 0 for no limit.")(verb)


@limits.command()
@figure_options
@click.option("--caller", default="", help='An API key\'s id; "*" for each key by itself; by default all together.')
@click.option("--model", default="", help='A model or agent; "*" for each by itself; by default all together.')
@click.option("--together", is_flag=True, help="Count all tenants together. For operators.")
@tenant_option
@on_mesh(30)
def create(tenant: str, together: bool, caller: str, model: str, on: MeshOptions, **options: int) -> None:
    """Make a rate limit for a tenant, "*" for each tenant by itself.

    \b
    Examples:
      headworks limits create --requests 600 --tokens 200000
      headworks limits create --tenant "*" --caller "*" --requests 60
    """
    request = pb.CreateRateLimitRequest(
        tenant=tenant, together=together, caller=caller, model=model, **_figures(options)
    )
    with on.client() as client:
        print_record(on, as_dict(client.limits.CreateRateLimit(request).limit))


@limits.command("list")
@click.option("--every-tenant", is_flag=True, help="Those of all tenants. For operators.")
@tenant_option
@on_mesh(30)
def list_(every_tenant: bool, tenant: str, on: MeshOptions) -> None:
    """List the rate limits that name the tenant.

    \b
    Example:
      headworks limits list --every-tenant --json
    """
    with on.client() as client:
        request = pb.ListRateLimitsRequest(tenant=tenant, every_tenant=every_tenant)
        rows = [as_dict(row) for row in client.limits.ListRateLimits(request).limits]
    print_list(on, "limits", rows, COLUMNS, "No rate limits: make one with `headworks limits create`.")


@limits.command("set")
@click.argument("limit_id")
@figure_options
@on_mesh(30)
def set_(limit_id: str, on: MeshOptions, **options: int) -> None:
    """Set the figures of the rate limit LIMIT_ID: all three.

    \b
    Example:
      headworks limits set lim_… --requests 1200 --tokens 400000
    """
    with on.client() as client:
        request = pb.UpdateRateLimitRequest(id=limit_id, **_figures(options))
        print_record(on, as_dict(client.limits.UpdateRateLimit(request).limit))


@limits.command()
@click.argument("limit_id")
@yes_option
@on_mesh(30)
def delete(limit_id: str, yes: bool, on: MeshOptions) -> None:
    """Delete the rate limit LIMIT_ID.

    \b
    Example:
      headworks limits delete lim_… --yes
    """
    confirm(on, f"Delete the rate limit {limit_id}?", yes)
    with on.client() as client:
        client.limits.DeleteRateLimit(pb.DeleteRateLimitRequest(id=limit_id))
    print_done(on, f"Deleted {limit_id}.", deleted=limit_id)


def _figures(options: dict[str, int]) -> dict[str, int]:
    return {
        "requests_per_minute": options["requests"],
        "tokens_per_minute": options["tokens"],
        "streams": options["streams"],
    }
