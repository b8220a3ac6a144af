"""`headworks agents`: the group, and what lists, shows and deletes agents."""

from typing import TYPE_CHECKING, Any

import click
from headworks.orchestrator.v1 import agent_service_pb2 as pb

from cli.brief import counted
from cli.messages import as_dict, list_all
from cli.options import MeshOptions, confirm, on_mesh, yes_option
from cli.output import print_done, print_json, print_list, print_record
from cli.runs.versioned import Versioned

if TYPE_CHECKING:
    from cli.client import Client


def _apply(client: "Client", spec: str, dry_run: bool) -> tuple[Any, bool]:
    response = client.agents.ApplyAgent(pb.ApplyAgentRequest(spec=spec, dry_run=dry_run))
    return response.agent, response.changed


def _get(client: "Client", name: str, version: int) -> Any:
    return client.agents.GetAgent(pb.GetAgentRequest(name=name, version=version)).agent


AGENTS = Versioned("an agent", "agents", _apply, _get)
COLUMNS = {"agent": "name", "what it does": "description", "cannot run because": "unavailable", "model": "model",
           "version": "version", "from": "from", "applied": "create_time"}  # fmt: skip


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


@agents.command()
@click.argument("paths", nargs=-1, required=True, metavar="FILE|FOLDER...")
@click.option("--dry-run", is_flag=True, help="Check only, and say what would change.")
@on_mesh(30)
def apply(paths: tuple[str, ...], dry_run: bool, on: MeshOptions) -> int:
    """Store specs as the next versions of their agents. One that means the same as the latest version changes nothing.

    Every spec is tried; exits with 1 where one is not valid, which names the line or the field.

    \b
    Examples:
      headworks agents apply analyst.yaml
      headworks agents apply agents/ --dry-run
    """
    return AGENTS.apply_files(on, paths, dry_run)


@agents.command()
@click.argument("old")
@click.argument("new", required=False)
@click.option("--exit-code", is_flag=True, help="Exit with 1 where there is a difference.")
@on_mesh(30)
def diff(old: str, new: str | None, exit_code: bool, on: MeshOptions) -> int:
    """Compare two specs: each a file, or an agent as NAME or NAME@VERSION. One alone is compared with what is applied:
    a file with the latest version of its agent, a version with the latest.

    \b
    Examples:
      headworks agents diff analyst.yaml
      headworks agents diff analyst@1 analyst@3
    """
    return AGENTS.compare(on, old, new, exit_code)


@agents.command("list")
@click.argument("name", required=False)
@on_mesh(30)
def list_(name: str | None, on: MeshOptions) -> None:
    """List the latest version of each agent, or all versions of the agent NAME.

    \b
    Examples:
      headworks agents list
      headworks agents list analyst --json
    """
    with on.client() as client:
        rows = [
            _agent(row) for row in list_all(client.agents.ListAgents, pb.ListAgentsRequest(name=name or ""), "agents")
        ]
    if not on.as_json:
        rows = [row | {"from": "Headworks" if row["shipped"] else "you"} for row in rows]
    print_list(on, "agents", rows, COLUMNS)


@agents.command()
@click.argument("name")
@click.option("--yaml", "as_yaml", is_flag=True, help="Print the spec alone.")
@on_mesh(30)
def get(name: str, as_yaml: bool, on: MeshOptions) -> None:
    """Show the agent NAME, or its version NAME@VERSION.

    \b
    Examples:
      headworks agents get analyst
      headworks agents get analyst@2 --yaml > analyst.yaml
    """
    agent_name, version = AGENTS.reference(name)
    with on.client() as client:
        agent = client.agents.GetAgent(pb.GetAgentRequest(name=agent_name, version=version)).agent
    if as_yaml:
        click.echo(agent.spec, nl=not agent.spec.endswith("\n"))
    elif on.as_json:
        print_json(_agent(agent) | {"spec": agent.spec})
    else:
        print_record(on, _agent(agent))
        click.echo(f"\n{agent.spec.rstrip()}")


@agents.command()
@click.argument("name")
@yes_option
@on_mesh(30)
def delete(name: str, yes: bool, on: MeshOptions) -> None:
    """Delete the agent NAME with all its versions, or its version NAME@VERSION. Runs under way go on.

    \b
    Examples:
      headworks agents delete analyst@2
      headworks agents delete analyst --yes
    """
    agent_name, version = AGENTS.reference(name)
    confirm(on, f"Delete {name}{'' if version else ' with all its versions'}?", yes)
    with on.client() as client:
        request = pb.DeleteAgentRequest(name=agent_name, version=version)
        deleted = client.agents.DeleteAgent(request).deleted
    text = f"Deleted {counted(deleted, 'version')} of {agent_name}."
    print_done(on, text, name=agent_name, deleted=deleted)


def _agent(message: Any) -> dict[str, Any]:
    """What is said of an agent, without its spec."""
    return {name: value for name, value in as_dict(message).items() if name != "spec"}
