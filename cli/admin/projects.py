"""`headworks projects`."""

import click
from headworks.gateway.v1 import project_service_pb2 as pb

from cli.messages import as_dict, list_all
from cli.options import MeshOptions, confirm, on_mesh, tenant_option, yes_option
from cli.output import print_done, print_list, print_record

COLUMNS = ("id", "name", "tenant", "create_time")


@click.group()
def projects() -> None:
    """Make, list and delete projects: parts of a tenant's work with keys and budgets of their own.

    \b
    Examples:
      headworks projects create search
      headworks projects list
      headworks projects delete prj_… --yes
    """


@projects.command()
@click.argument("name")
@tenant_option
@on_mesh(30)
def create(name: str, tenant: str, on: MeshOptions) -> None:
    """Make the project NAME.

    \b
    Example:
      headworks projects create search
    """
    with on.client() as client:
        request = pb.CreateProjectRequest(tenant=tenant, name=name)
        print_record(on, as_dict(client.projects.CreateProject(request).project))


@projects.command("list")
@tenant_option
@on_mesh(30)
def list_(tenant: str, on: MeshOptions) -> None:
    """List the projects.

    \b
    Example:
      headworks projects list --json
    """
    with on.client() as client:
        request = pb.ListProjectsRequest(tenant=tenant)
        rows = [as_dict(row) for row in list_all(client.projects.ListProjects, request, "projects")]
    print_list(on, "projects", rows, COLUMNS, "No projects yet: make one with `headworks projects create NAME`.")


@projects.command()
@click.argument("project")
@tenant_option
@yes_option
@on_mesh(30)
def delete(project: str, tenant: str, yes: bool, on: MeshOptions) -> None:
    """Delete the project PROJECT, an id, and revoke its keys.

    \b
    Example:
      headworks projects delete prj_… --yes
    """
    confirm(on, f"Delete the project {project} and revoke its keys?", yes)
    with on.client() as client:
        client.projects.DeleteProject(pb.DeleteProjectRequest(tenant=tenant, id=project))
    print_done(on, f"Deleted {project}.", deleted=project)
