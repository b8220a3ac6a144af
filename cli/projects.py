"""`headworks projects`."""

import click

from cli.admin import confirm, done, every, facts, show_all, show_one, tenant_option, yes_option
from cli.target import Target, on_mesh

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
def create(name: str, tenant: str, on: Target) -> None:
    """Make the project NAME.

    \b
    Example:
      headworks projects create search
    """
    from headworks.gateway.v1 import project_service_pb2 as pb

    with on.calling() as client:
        request = pb.CreateProjectRequest(tenant=tenant, name=name)
        show_one(on, facts(client.projects.CreateProject(request, **on.options(client)).project))


@projects.command("list")
@tenant_option
@on_mesh(30)
def list_(tenant: str, on: Target) -> None:
    """List the projects.

    \b
    Example:
      headworks projects list --json
    """
    from headworks.gateway.v1 import project_service_pb2 as pb

    with on.calling() as client:
        request = pb.ListProjectsRequest(tenant=tenant)
        found = [facts(one) for one in every(client.projects.ListProjects, request, "projects", on.options(client))]
    show_all(on, "projects", found, COLUMNS, "No projects yet: make one with `headworks projects create NAME`.")


@projects.command()
@click.argument("project")
@tenant_option
@yes_option
@on_mesh(30)
def delete(project: str, tenant: str, yes: bool, on: Target) -> None:
    """Delete the project PROJECT, an id, and revoke its keys.

    \b
    Example:
      headworks projects delete prj_… --yes
    """
    from headworks.gateway.v1 import project_service_pb2 as pb

    confirm(on, f"Delete the project {project} and revoke its keys?", yes)
    with on.calling() as client:
        client.projects.DeleteProject(pb.DeleteProjectRequest(tenant=tenant, id=project), **on.options(client))
    done(on, f"Deleted {project}.", deleted=project)
