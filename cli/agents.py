"""`headworks agents`: the group, and what lists, shows and deletes agents."""

from typing import Any

import click

from cli.agents_apply import apply
from cli.agents_diff import diff
from cli.target import Target, on_mesh

PAGE = 1000


@click.group()
def agents() -> None:
    """Keep agents: specs by name and version. An agent's name is a model name wherever a model is asked for.

    \b
    Examples:
      headworks agents apply agents/ --dry-run
      headworks agents list
      headworks agents get analyst --yaml > analyst.yaml
      headworks agents diff analyst.yaml
      headworks agents delete analyst@2
    """


agents.add_command(apply)
agents.add_command(diff)


@agents.command("list")
@click.argument("name", required=False)
@on_mesh(30)
def list_(name: str | None, on: Target) -> None:
    """List the latest version of each agent, or all versions of the agent NAME.

    \b
    Examples:
      headworks agents list
      headworks agents list analyst --json
    """
    from headworks.orchestrator.v1 import agent_service_pb2 as pb

    from cli.client import utf8
    from cli.output import print_json, table, wide

    found, request = [], pb.ListAgentsRequest(page_size=PAGE, name=utf8(name or "", "the name"))
    with on.calling() as client:
        while True:
            page = client.agents.ListAgents(request, **on.options(client))
            found += [_agent(one) for one in page.agents]
            request.page_token = page.next_page_token
            if not request.page_token:
                break
    if on.as_json:
        print_json({"agents": found})
        return
    columns = ("agent", "version", "model", "from", "applied", "cannot run because", "what it does")
    rows = ((one["name"], one["version"], one["model"], "Headworks" if one["shipped"] else "you",
             one["create_time"] or "", one["unavailable"], one["description"]) for one in found)  # fmt: skip
    wide().print(table(columns, rows, right=("version",)))


@agents.command()
@click.argument("name")
@click.option("--yaml", "as_yaml", is_flag=True, help="Print the spec alone.")
@on_mesh(30)
def get(name: str, as_yaml: bool, on: Target) -> None:
    """Show the agent NAME, or its version NAME@VERSION.

    \b
    Examples:
      headworks agents get analyst
      headworks agents get analyst@2 --yaml > analyst.yaml
    """
    from headworks.orchestrator.v1 import agent_service_pb2 as pb

    from cli.output import print_json, table, wide
    from cli.specs import reference

    known, version = reference(name)
    with on.calling() as client:
        agent = client.agents.GetAgent(pb.GetAgentRequest(name=known, version=version), **on.options(client)).agent
    if as_yaml:
        click.echo(agent.spec, nl=not agent.spec.endswith("\n"))
    elif on.as_json:
        print_json(_agent(agent) | {"spec": agent.spec})
    else:
        wide().print(table(("", ""), ((key, value) for key, value in _agent(agent).items() if value)))
        click.echo(f"\n{agent.spec.rstrip()}")


@agents.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@on_mesh(30)
def delete(name: str, yes: bool, on: Target) -> None:
    """Delete the agent NAME with all its versions, or its version NAME@VERSION. Runs under way go on.

    \b
    Examples:
      headworks agents delete analyst@2
      headworks agents delete analyst --yes
    """
    from headworks.orchestrator.v1 import agent_service_pb2 as pb

    from cli.output import print_json
    from cli.specs import reference

    known, version = reference(name)
    if not yes and not on.as_json:
        click.confirm(f"Delete {name}{'' if version else ' with all its versions'}?", abort=True)
    with on.calling() as client:
        request = pb.DeleteAgentRequest(name=known, version=version)
        deleted = client.agents.DeleteAgent(request, **on.options(client)).deleted
    if on.as_json:
        print_json({"name": known, "deleted": deleted})
    else:
        click.echo(f"Deleted {deleted} version{'s' * (deleted != 1)} of {known}.")


def _agent(agent: Any) -> dict[str, Any]:
    return {
        "name": agent.name,
        "version": agent.version,
        "description": agent.description,
        "model": agent.model,
        "digest": agent.digest,
        "create_time": agent.create_time.ToJsonString() if agent.HasField("create_time") else None,
        "shipped": agent.shipped,
        "unavailable": agent.unavailable,
    }
