"""`headworks agents diff`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.target import Target, on_mesh

if TYPE_CHECKING:
    from cli.client import Client

STYLES = {"+": "green", "-": "red", "@": "cyan"}


@click.command()
@click.argument("old")
@click.argument("new", required=False)
@click.option("--exit-code", is_flag=True, help="Exit with 1 where there is a difference.")
@on_mesh(30)
def diff(old: str, new: str | None, exit_code: bool, on: Target) -> int:
    """Compare two specs: each a file, or an agent as NAME or NAME@VERSION. One alone is compared with what is applied:
    a file with the latest version of its agent, a version with the latest.

    \b
    Examples:
      headworks agents diff analyst.yaml
      headworks agents diff analyst@1 analyst@3
    """
    from cli.output import print_json
    from cli.specs import difference, is_file

    with on.calling() as client:
        first, second = (_latest(client, old, on), old) if new is None and is_file(old) else (old, new)
        before, after = _spec(client, first, on), _spec(client, second or old.partition("@")[0], on)
    names = first or "(none)", second or f"{old.partition('@')[0]} (latest)"
    lines = list(difference(before, after, *names))
    if on.as_json:
        print_json({"old": names[0], "new": names[1], "same": not lines, "diff": lines})
    elif not lines:
        click.echo("There is no difference.")
    for line in () if on.as_json else lines:
        click.echo(click.style(line, fg=STYLES.get(line[:1])))
    return int(bool(lines) and exit_code)


def _spec(client: "Client", name: str, on: Target) -> str:
    """The text of a spec; empty for no name."""
    from headworks.orchestrator.v1 import agent_service_pb2 as pb

    from cli.specs import is_file, read_spec, reference

    if not name:
        return ""
    if is_file(name):
        return read_spec(Path(name))
    known, version = reference(name)
    request = pb.GetAgentRequest(name=known, version=version)
    return client.agents.GetAgent(request, **on.options(client)).agent.spec


def _latest(client: "Client", file: str, on: Target) -> str:
    """NAME@VERSION of the latest version of the agent whose spec the file is; empty where there is none yet."""
    import grpc
    from headworks.orchestrator.v1 import agent_service_pb2 as pb

    from cli.specs import read_spec

    checked = pb.ApplyAgentRequest(spec=read_spec(Path(file)), dry_run=True)
    name = client.agents.ApplyAgent(checked, **on.options(client)).agent.name
    try:
        agent = client.agents.GetAgent(pb.GetAgentRequest(name=name), **on.options(client)).agent
    except grpc.RpcError as error:
        if error.code() is grpc.StatusCode.NOT_FOUND:
            return ""
        raise
    return f"{agent.name}@{agent.version}"
