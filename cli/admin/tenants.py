"""`headworks tenants`."""

import click
from headworks.gateway.v1 import state_pb2
from headworks.gateway.v1 import tenant_service_pb2 as pb

from cli.messages import as_dict, list_all
from cli.options import MeshOptions, confirm, on_mesh, yes_option
from cli.output import print_done, print_list, print_record

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
def create(tenant: str, name: str, on: MeshOptions) -> None:
    """Make the tenant TENANT: 1 to 63 of a-z, 0-9, ".", "-" and "_".

    \b
    Example:
      headworks tenants create acme --name "Acme Ltd"
    """
    with on.client() as client:
        request = pb.CreateTenantRequest(id=tenant, display_name=name)
        created = client.tenants.CreateTenant(request).tenant
    print_record(on, as_dict(created))


@tenants.command("list")
@on_mesh(30)
def list_(on: MeshOptions) -> None:
    """List the tenants.

    \b
    Example:
      headworks tenants list --json
    """
    with on.client() as client:
        request = pb.ListTenantsRequest()
        rows = [as_dict(row) for row in list_all(client.tenants.ListTenants, request, "tenants")]
    print_list(on, "tenants", rows, COLUMNS, "No tenants yet: make one with `headworks tenants create ID`.")


@tenants.command()
@click.argument("tenant")
@on_mesh(30)
def suspend(tenant: str, on: MeshOptions) -> None:
    """Refuse all callers of the tenant TENANT, within a second.

    \b
    Example:
      headworks tenants suspend acme
    """
    _set_state(tenant, state_pb2.STATE_SUSPENDED, on)


@tenants.command()
@click.argument("tenant")
@on_mesh(30)
def resume(tenant: str, on: MeshOptions) -> None:
    """Let the callers of the tenant TENANT in again.

    \b
    Example:
      headworks tenants resume acme
    """
    _set_state(tenant, state_pb2.STATE_ACTIVE, on)


@tenants.command()
@click.argument("tenant")
@yes_option
@on_mesh(30)
def delete(tenant: str, yes: bool, on: MeshOptions) -> None:
    """Delete the tenant TENANT with its projects, people, roles and keys. Erase its data first: `headworks data`.

    \b
    Example:
      headworks tenants delete acme --yes
    """
    confirm(on, f"Delete the tenant {tenant} with all its keys?", yes)
    with on.client() as client:
        client.tenants.DeleteTenant(pb.DeleteTenantRequest(id=tenant))
    print_done(on, f"Deleted {tenant}.", deleted=tenant)


def _set_state(tenant: str, state: "state_pb2.State.ValueType", on: MeshOptions) -> None:
    with on.client() as client:
        request = pb.UpdateTenantRequest(id=tenant, state=state)
        print_record(on, as_dict(client.tenants.UpdateTenant(request).tenant))
