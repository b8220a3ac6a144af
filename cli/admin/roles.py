"""`headworks roles`."""

import click
from headworks.gateway.v1 import role_service_pb2 as pb

from cli.messages import as_dict
from cli.options import MeshOptions, confirm, on_mesh, tenant_option, yes_option
from cli.output import print_done, print_list, print_record

COLUMNS = ("name", "tenant", "permissions")
BINDINGS = ("role", "project", "create_time")


@click.group()
def roles() -> None:
    """Make, list, give and take roles: names for permissions such as "models.call:rag".

    \b
    Examples:
      headworks roles list
      headworks roles put reader --permission "models.call:rag" --permission "collections.read:*"
      headworks roles bind reader usr_…
      headworks roles bindings usr_…
    """


@roles.command()
@click.argument("name")
@click.option("--permission", "permissions", multiple=True, required=True, help="A pattern; may be repeated.")
@tenant_option
@on_mesh(30)
def put(name: str, permissions: tuple[str, ...], tenant: str, on: MeshOptions) -> None:
    """Make the role NAME, or give it these permissions in place of those it had.

    \b
    Example:
      headworks roles put reader --permission "models.call:rag" --permission "collections.read:*"
    """
    with on.client() as client:
        request = pb.PutRoleRequest(tenant=tenant, name=name, permissions=permissions)
        print_record(on, as_dict(client.roles.PutRole(request).role))


@roles.command("list")
@tenant_option
@on_mesh(30)
def list_(tenant: str, on: MeshOptions) -> None:
    """List the roles that every tenant has, and the tenant's own.

    \b
    Example:
      headworks roles list --json
    """
    with on.client() as client:
        response = client.roles.ListRoles(pb.ListRolesRequest(tenant=tenant))
    print_list(on, "roles", [as_dict(row) for row in response.roles], COLUMNS, "No roles.")


@roles.command()
@click.argument("name")
@tenant_option
@yes_option
@on_mesh(30)
def delete(name: str, tenant: str, yes: bool, on: MeshOptions) -> None:
    """Delete the role NAME. Those who have it have it no more.

    \b
    Example:
      headworks roles delete reader --yes
    """
    confirm(on, f"Delete the role {name}?", yes)
    with on.client() as client:
        client.roles.DeleteRole(pb.DeleteRoleRequest(tenant=tenant, name=name))
    print_done(on, f"Deleted {name}.", deleted=name)


@roles.command()
@click.argument("role")
@click.argument("principal")
@click.option("--project", default="", help="In this project only, by its id.")
@tenant_option
@on_mesh(30)
def bind(role: str, principal: str, project: str, tenant: str, on: MeshOptions) -> None:
    """Give ROLE to PRINCIPAL, the id of a user or a service account.

    \b
    Example:
      headworks roles bind developer usr_… --project prj_…
    """
    with on.client() as client:
        request = pb.BindRoleRequest(tenant=tenant, role=role, principal=principal, project=project)
        client.roles.BindRole(request)
    print_done(on, f"{principal} has the role {role}.", principal=principal, role=role, project=project)


@roles.command()
@click.argument("role")
@click.argument("principal")
@click.option("--project", default="", help="In this project only, by its id.")
@tenant_option
@on_mesh(30)
def unbind(role: str, principal: str, project: str, tenant: str, on: MeshOptions) -> None:
    """Take ROLE from PRINCIPAL.

    \b
    Example:
      headworks roles unbind developer usr_…
    """
    with on.client() as client:
        request = pb.UnbindRoleRequest(tenant=tenant, role=role, principal=principal, project=project)
        client.roles.UnbindRole(request)
    print_done(on, f"{principal} has the role {role} no more.", principal=principal, taken=role, project=project)


@roles.command()
@click.argument("principal")
@tenant_option
@on_mesh(30)
def bindings(principal: str, tenant: str, on: MeshOptions) -> None:
    """List the roles of PRINCIPAL.

    \b
    Example:
      headworks roles bindings usr_…
    """
    with on.client() as client:
        request = pb.ListRoleBindingsRequest(tenant=tenant, principal=principal)
        response = client.roles.ListRoleBindings(request)
    rows = [as_dict(row) for row in response.bindings]
    print_list(on, "bindings", rows, BINDINGS, "No roles: give one with `headworks roles bind ROLE PRINCIPAL`.")
