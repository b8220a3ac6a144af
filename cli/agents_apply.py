"""`headworks agents apply`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.errors import FAILURE
from cli.target import Target, on_mesh

if TYPE_CHECKING:
    from cli.client import Client


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="FILE|FOLDER...")
@click.option("--dry-run", is_flag=True, help="Check only, and say what would change.")
@on_mesh(30)
def apply(paths: tuple[str, ...], dry_run: bool, on: Target) -> int:
    """Store specs as the next versions of their agents. One that means the same as the latest version changes nothing.

    Every spec is tried; exits with 1 where one is not valid, which names the line or the field.

    \b
    Examples:
      headworks agents apply analyst.yaml
      headworks agents apply agents/ --dry-run
    """
    from cli.output import print_json
    from cli.specs import find_specs

    files = find_specs(paths)
    with on.calling() as client:
        results = [_apply(client, path, dry_run, on) for path in files]
    if on.as_json:
        print_json({"dry_run": dry_run, "agents": results})
    else:
        for one in results:
            click.echo(_line(one, dry_run), err="error" in one)
    return FAILURE if any("error" in one for one in results) else 0


def _apply(client: "Client", path: Path, dry_run: bool, on: Target) -> dict[str, Any]:
    """What became of one file. A failure that is not the spec's ends the command."""
    import grpc
    from headworks.orchestrator.v1 import agent_service_pb2 as pb

    from cli.errors import CliError
    from cli.specs import read_spec

    try:
        request = pb.ApplyAgentRequest(spec=read_spec(path), dry_run=dry_run)
        response = client.agents.ApplyAgent(request, **on.options(client))
    except CliError as error:
        return {"file": str(path), "error": str(error)}
    except grpc.RpcError as error:
        if error.code() not in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED):
            raise
        return {"file": str(path), "error": error.details()}
    agent = response.agent
    return {
        "file": str(path),
        "name": agent.name,
        "version": agent.version,
        "changed": response.changed,
        "unavailable": agent.unavailable,
    }


def _line(one: dict[str, Any], dry_run: bool) -> str:
    if "error" in one:
        return f"{one['file']}: {one['error']}"
    would = "would be " if dry_run else ""
    what = f"{would}version {one['version']}" if one["changed"] else f"unchanged, version {one['version']}"
    hint = f" (it cannot run now: {one['unavailable']})" if one["unavailable"] else ""
    return f"{one['name']}: {what}{hint}"
