"""`headworks roles`."""

import click

from cli.admin import confirm, done, facts, show_all, show_one, tenant_option, yes_option
from cli.target import Target, on_mesh

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
def put(name: str, permissions: tuple[str, ...], tenant: str, on: Target) -> None:
    """Make the role NAME, or give it these permissions in place of those it had.

    \b
    Example:
      headworks roles put reader --permission "models.call:rag" --permission "collections.read:*"
    """
    from headworks.gateway.v1 import role_service_pb2 as pb

    with on.calling() as client:
        request = pb.PutRoleRequest(tenant=tenant, name=name, permissions=permissions)
        show_one(on, facts(client.roles.PutRole(request, **on.options(client)).role))


@roles.command("list")
@tenant_option
@on_mesh(30)
def list_(tenant: str, on: Target) -> None:
    """List the roles that every tenant has, and the tenant's own.

    \b
    Example:
      headworks roles list --json
    """
    from headworks.gateway.v1 import role_service_pb2 as pb

    with on.calling() as client:
        response = client.roles.ListRoles(pb.ListRolesRequest(tenant=tenant), **on.options(client))
    show_all(on, "roles", [facts(one) for one in response.roles], COLUMNS, "No roles.")


@roles.command()
@click.argument("name")
@tenant_option
@yes_option
@on_mesh(30)
def delete(name: str, tenant: str, yes: bool, on: Target) -> None:
    """Delete the role NAME. Those who have it have it no more.

    \b
    Example:
      headworks roles delete reader --yes
    """
    from headworks.gateway.v1 import role_service_pb2 as pb

    confirm(on, f"Delete the role {name}?", yes)
    with on.calling() as client:
        client.roles.DeleteRole(pb.DeleteRoleRequest(tenant=tenant, name=name), **on.options(client))
    done(on, f"Deleted {name}.", deleted=name)


@roles.command()
@click.argument("role")
@click.argument("principal")
@click.option("--project", default="", help="In this project only, by its id.")
@tenant_option
@on_mesh(30)
def bind(role: str, principal: str, project: str, tenant: str, on: Target) -> None:
    """Give ROLE to PRINCIPAL, the id of a user or a service account.

    \b
    Example:
      headworks roles bind developer usr_… --project prj_…
    """
    from headworks.gateway.v1 import role_service_pb2 as pb

    with on.calling() as client:
        request = pb.BindRoleRequest(tenant=tenant, role=role, principal=principal, project=project)
        client.roles.BindRole(request, **on.options(client))
    done(on, f"{principal} has the role {role}.", principal=principal, role=role, project=project)


@roles.command()
@click.argument("role")
@click.argument("principal")
@click.option("--project", default="", help="In this project only, by its id.")
@tenant_option
@on_mesh(30)
def unbind(role: str, principal: str, project: str, tenant: str, on: Target) -> None:
    """Take ROLE from PRINCIPAL.

    \b
    Example:
      headworks roles unbind developer usr_…
    """
    from headworks.gateway.v1 import role_service_pb2 as pb

    with on.calling() as client:
        request = pb.UnbindRoleRequest(tenant=tenant, role=role, principal=principal, project=project)
        client.roles.UnbindRole(request, **on.options(client))
    done(on, f"{principal} has the role {role} no more.", principal=principal, taken=role, project=project)


@roles.command()
@click.argument("principal")
@tenant_option
@on_mesh(30)
def bindings(principal: str, tenant: str, on: Target) -> None:
    """List the roles of PRINCIPAL.

    \b
    Example:
      headworks roles bindings usr_…
    """
    from headworks.gateway.v1 import role_service_pb2 as pb

    with on.calling() as client:
        request = pb.ListRoleBindingsRequest(tenant=tenant, principal=principal)
        response = client.roles.ListRoleBindings(request, **on.options(client))
    found = [facts(one) for one in response.bindings]
    show_all(on, "bindings", found, BINDINGS, "No roles: give one with `headworks roles bind ROLE PRINCIPAL`.")
