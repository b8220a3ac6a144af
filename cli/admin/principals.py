"""`headworks users` and `headworks accounts`: the two kinds of principals."""

import click
from headworks.gateway.v1 import principal_pb2, role_service_pb2, state_pb2
from headworks.gateway.v1 import principal_service_pb2 as pb

from cli.messages import as_dict, list_all
from cli.options import MeshOptions, confirm, on_mesh, tenant_option, yes_option
from cli.output import print_done, print_list, print_record

COLUMNS = ("id", "name", "display_name", "state", "groups", "create_time")


@click.group()
def users() -> None:
    """Make, list, suspend and delete users. A user's name is the subject of the tokens that its issuer makes.

    \b
    Examples:
      headworks users create ada@example.com --role developer
      headworks users list
      headworks users suspend usr_…
    """


@click.group()
def accounts() -> None:
    """Make, list, suspend and delete service accounts: programs that come with an API key.

    \b
    Examples:
      headworks accounts create indexer --role developer
      headworks keys create svc_… --name "the indexer's"
      headworks accounts list
    """


def add_verbs(group: click.Group, kind: "principal_pb2.Principal.Kind.ValueType", noun: str) -> None:
    """create, list, suspend, resume, groups and delete, for principals of one kind."""
    name_of_group = str(group.name)

    def help_of(text: str, example: str) -> str:
        return f"{text}\n\n\b\nExample:\n  headworks {name_of_group} {example}"

    @group.command(help=help_of(f"Make the {noun} NAME.", "create NAME --role developer"))
    @click.argument("name")
    @click.option("--display-name", default="", help="A name for people.")
    @click.option("--role", "roles", multiple=True, help="A role that it gets in the whole tenant; may be repeated.")
    @click.option("--group", "groups", multiple=True, help="A group that it is in; may be repeated.")
    @tenant_option
    @on_mesh(30)
    def create(
        name: str, display_name: str, roles: tuple[str, ...], groups: tuple[str, ...], tenant: str, on: MeshOptions
    ) -> None:
        with on.client() as client:
            request = pb.CreatePrincipalRequest(
                tenant=tenant, name=name, display_name=display_name, kind=kind, groups=groups
            )
            principal = client.principals.CreatePrincipal(request).principal
            for role in roles:
                binding = role_service_pb2.BindRoleRequest(tenant=tenant, role=role, principal=principal.id)
                client.roles.BindRole(binding)
        print_record(on, as_dict(principal) | {"roles": list(roles)})

    @group.command("list", help=help_of(f"List the {noun}s.", "list --json"))
    @tenant_option
    @on_mesh(30)
    def list_(tenant: str, on: MeshOptions) -> None:
        with on.client() as client:
            request = pb.ListPrincipalsRequest(tenant=tenant, kind=kind)
            rows = [as_dict(row) for row in list_all(client.principals.ListPrincipals, request, "principals")]
        none = f"No {noun}s yet: make one with `headworks {name_of_group} create NAME`."
        print_list(on, name_of_group, rows, COLUMNS, none)

    @group.command(help=help_of(f"Refuse the {noun} ID, within a second.", "suspend ID"))
    @click.argument("id_", metavar="ID")
    @tenant_option
    @on_mesh(30)
    def suspend(id_: str, tenant: str, on: MeshOptions) -> None:
        _set_state(id_, state_pb2.STATE_SUSPENDED, tenant, on)

    @group.command(help=help_of(f"Let the {noun} ID in again.", "resume ID"))
    @click.argument("id_", metavar="ID")
    @tenant_option
    @on_mesh(30)
    def resume(id_: str, tenant: str, on: MeshOptions) -> None:
        _set_state(id_, state_pb2.STATE_ACTIVE, tenant, on)

    @group.command(
        help=help_of(
            f"Say which groups the {noun} ID is in: those that are named and no others.", "groups ID --group staff"
        )
    )
    @click.argument("id_", metavar="ID")
    @click.option("--group", "names", multiple=True, help="A group; may be repeated. Without any it is in none.")
    @tenant_option
    @on_mesh(30)
    def groups(id_: str, names: tuple[str, ...], tenant: str, on: MeshOptions) -> None:
        with on.client() as client:
            request = pb.UpdatePrincipalRequest(tenant=tenant, id=id_, groups=names, set_groups=True)
            print_record(on, as_dict(client.principals.UpdatePrincipal(request).principal))

    @group.command(help=help_of(f"Delete the {noun} ID with its keys and roles.", "delete ID --yes"))
    @click.argument("id_", metavar="ID")
    @tenant_option
    @yes_option
    @on_mesh(30)
    def delete(id_: str, tenant: str, yes: bool, on: MeshOptions) -> None:
        confirm(on, f"Delete the {noun} {id_} with its keys?", yes)
        with on.client() as client:
            client.principals.DeletePrincipal(pb.DeletePrincipalRequest(tenant=tenant, id=id_))
        print_done(on, f"Deleted {id_}.", deleted=id_)


def _set_state(id_: str, state: "state_pb2.State.ValueType", tenant: str, on: MeshOptions) -> None:
    with on.client() as client:
        request = pb.UpdatePrincipalRequest(tenant=tenant, id=id_, state=state)
        print_record(on, as_dict(client.principals.UpdatePrincipal(request).principal))


add_verbs(users, principal_pb2.Principal.KIND_USER, "user")
add_verbs(accounts, principal_pb2.Principal.KIND_SERVICE_ACCOUNT, "service account")
