"""What `headworks users` and `headworks accounts` have in common."""

from typing import Any

import click

from cli.admin import confirm, done, every, facts, show_all, show_one, tenant_option, yes_option
from cli.target import Target, on_mesh

COLUMNS = ("id", "name", "display_name", "state", "create_time")
USER = 1
SERVICE_ACCOUNT = 2


def add_verbs(group: click.Group, kind: int, noun: str) -> None:
    """create, list, suspend, resume and delete, for principals of one kind."""
    verb = group.name

    @group.command(help=_help(f"Make the {noun} NAME.", f"headworks {verb} create NAME --role developer"))
    @click.argument("name")
    @click.option("--display-name", default="", help="A name for people.")
    @click.option("--role", "roles", multiple=True, help="A role that it gets in the whole tenant; may be repeated.")
    @tenant_option
    @on_mesh(30)
    def create(name: str, display_name: str, roles: tuple[str, ...], tenant: str, on: Target) -> None:
        _create(kind, name, display_name, roles, tenant, on)

    @group.command("list", help=_help(f"List the {noun}s.", f"headworks {verb} list --json"))
    @tenant_option
    @on_mesh(30)
    def list_(tenant: str, on: Target) -> None:
        _list(kind, noun, str(verb), tenant, on)

    @group.command(help=_help(f"Refuse the {noun} ID, within a second.", f"headworks {verb} suspend ID"))
    @click.argument("id_", metavar="ID")
    @tenant_option
    @on_mesh(30)
    def suspend(id_: str, tenant: str, on: Target) -> None:
        _set_state(id_, 2, tenant, on)

    @group.command(help=_help(f"Let the {noun} ID in again.", f"headworks {verb} resume ID"))
    @click.argument("id_", metavar="ID")
    @tenant_option
    @on_mesh(30)
    def resume(id_: str, tenant: str, on: Target) -> None:
        _set_state(id_, 1, tenant, on)

    @group.command(help=_help(f"Delete the {noun} ID with its keys and roles.", f"headworks {verb} delete ID --yes"))
    @click.argument("id_", metavar="ID")
    @tenant_option
    @yes_option
    @on_mesh(30)
    def delete(id_: str, tenant: str, yes: bool, on: Target) -> None:
        _delete(id_, noun, tenant, yes, on)


def _help(text: str, example: str) -> str:
    return f"{text}\n\n\b\nExample:\n  {example}"


def _create(kind: int, name: str, display_name: str, roles: tuple[str, ...], tenant: str, on: Target) -> None:
    from headworks.gateway.v1 import principal_service_pb2 as pb
    from headworks.gateway.v1 import role_service_pb2

    with on.calling() as client:
        request: Any = pb.CreatePrincipalRequest(tenant=tenant, name=name, display_name=display_name)
        request.kind = kind
        made = client.principals.CreatePrincipal(request, **on.options(client)).principal
        for role in roles:
            bound = role_service_pb2.BindRoleRequest(tenant=tenant, role=role, principal=made.id)
            client.roles.BindRole(bound, **on.options(client))
    show_one(on, facts(made) | {"roles": list(roles)})


def _list(kind: int, noun: str, verb: str, tenant: str, on: Target) -> None:
    from headworks.gateway.v1 import principal_service_pb2 as pb

    with on.calling() as client:
        request: Any = pb.ListPrincipalsRequest(tenant=tenant)
        request.kind = kind
        found = [
            facts(one) for one in every(client.principals.ListPrincipals, request, "principals", on.options(client))
        ]
    show_all(on, verb, found, COLUMNS, f"No {noun}s yet: make one with `headworks {verb} create NAME`.")


def _set_state(id_: str, state: int, tenant: str, on: Target) -> None:
    from headworks.gateway.v1 import principal_service_pb2 as pb

    with on.calling() as client:
        request: Any = pb.UpdatePrincipalRequest(tenant=tenant, id=id_)
        request.state = state
        show_one(on, facts(client.principals.UpdatePrincipal(request, **on.options(client)).principal))


def _delete(id_: str, noun: str, tenant: str, yes: bool, on: Target) -> None:
    from headworks.gateway.v1 import principal_service_pb2 as pb

    confirm(on, f"Delete the {noun} {id_} with its keys?", yes)
    with on.calling() as client:
        client.principals.DeletePrincipal(pb.DeletePrincipalRequest(tenant=tenant, id=id_), **on.options(client))
    done(on, f"Deleted {id_}.", deleted=id_)
