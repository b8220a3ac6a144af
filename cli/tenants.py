"""`headworks tenants`."""

import click

from cli.admin import confirm, done, every, facts, show_all, show_one, yes_option
from cli.target import Target, on_mesh

COLUMNS = ("id", "display_name", "state", "create_time")


@click.group()
def tenants() -> None:
    """Make, list, suspend and delete tenants, who own keys, budgets and collections. For operators.

    \b
    Examples:
      headworks tenants create acme --name "Acme Ltd"
      headworks tenants list
      headworks tenants suspend acme
      headworks tenants resume acme
    """


@tenants.command()
@click.argument("tenant")
@click.option("--name", default="", help="A name for people.")
@on_mesh(30)
def create(tenant: str, name: str, on: Target) -> None:
    """Make the tenant TENANT: 1 to 63 of a-z, 0-9, ".", "-" and "_".

    \b
    Example:
      headworks tenants create acme --name "Acme Ltd"
    """
    from headworks.gateway.v1 import tenant_service_pb2 as pb

    with on.calling() as client:
        request = pb.CreateTenantRequest(id=tenant, display_name=name)
        made = client.tenants.CreateTenant(request, **on.options(client)).tenant
    show_one(on, facts(made))


@tenants.command("list")
@on_mesh(30)
def list_(on: Target) -> None:
    """List the tenants.

    \b
    Example:
      headworks tenants list --json
    """
    from headworks.gateway.v1 import tenant_service_pb2 as pb

    with on.calling() as client:
        request = pb.ListTenantsRequest()
        found = [facts(one) for one in every(client.tenants.ListTenants, request, "tenants", on.options(client))]
    show_all(on, "tenants", found, COLUMNS, "No tenants yet: make one with `headworks tenants create ID`.")


@tenants.command()
@click.argument("tenant")
@on_mesh(30)
def suspend(tenant: str, on: Target) -> None:
    """Refuse all callers of the tenant TENANT, within a second.

    \b
    Example:
      headworks tenants suspend acme
    """
    _set_state(tenant, 2, on)


@tenants.command()
@click.argument("tenant")
@on_mesh(30)
def resume(tenant: str, on: Target) -> None:
    """Let the callers of the tenant TENANT in again.

    \b
    Example:
      headworks tenants resume acme
    """
    _set_state(tenant, 1, on)


@tenants.command()
@click.argument("tenant")
@yes_option
@on_mesh(30)
def delete(tenant: str, yes: bool, on: Target) -> None:
    """Delete the tenant TENANT with its projects, people, roles and keys. Erase its data first: `headworks data`.

    \b
    Example:
      headworks tenants delete acme --yes
    """
    from headworks.gateway.v1 import tenant_service_pb2 as pb

    confirm(on, f"Delete the tenant {tenant} with all its keys?", yes)
    with on.calling() as client:
        client.tenants.DeleteTenant(pb.DeleteTenantRequest(id=tenant), **on.options(client))
    done(on, f"Deleted {tenant}.", deleted=tenant)


def _set_state(tenant: str, state: int, on: Target) -> None:
    from headworks.gateway.v1 import state_pb2
    from headworks.gateway.v1 import tenant_service_pb2 as pb

    with on.calling() as client:
        request = pb.UpdateTenantRequest(id=tenant, state=state_pb2.State.ValueType(state))
        show_one(on, facts(client.tenants.UpdateTenant(request, **on.options(client)).tenant))
