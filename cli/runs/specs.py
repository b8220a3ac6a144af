"""`headworks agents apply` and `headworks agents diff`: specs as files."""

import difflib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from headworks.orchestrator.v1 import agent_service_pb2 as pb

from cli.errors import FAILURE, USAGE, CliError
from cli.files import read_text
from cli.options import MeshOptions, on_mesh
from cli.output import print_json

if TYPE_CHECKING:
    from cli.client import Client

SUFFIXES = (".yaml", ".yml")
STYLES = {"+": "green", "-": "red", "@": "cyan"}
_REFERENCE = re.compile(r"([a-z0-9][a-z0-9_-]{0,63})(?:@([1-9][0-9]{0,8}))?")


@click.command()
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
    files = find_specs(paths)
    with on.client() as client:
        results = [_apply(client, path, dry_run) for path in files]
    if on.as_json:
        print_json({"dry_run": dry_run, "agents": results})
    else:
        for one in results:
            click.echo(_line(one, dry_run), err="error" in one)
    return FAILURE if any("error" in one for one in results) else 0


def _apply(client: "Client", path: Path, dry_run: bool) -> dict[str, Any]:
    """What became of one file. A failure that is not the spec's ends the command."""
    import grpc

    try:
        request = pb.ApplyAgentRequest(spec=read_text(path), dry_run=dry_run)
        response = client.agents.ApplyAgent(request)
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


@click.command()
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
    with on.client() as client:
        first, second = (_latest(client, old), old) if new is None and is_file(old) else (old, new)
        before, after = _spec(client, first), _spec(client, second or old.partition("@")[0])
    names = first or "(none)", second or f"{old.partition('@')[0]} (latest)"
    lines = list(difflib.unified_diff(before.splitlines(), after.splitlines(), *names, lineterm=""))
    if on.as_json:
        print_json({"old": names[0], "new": names[1], "same": not lines, "diff": lines})
    elif not lines:
        click.echo("There is no difference.")
    for line in () if on.as_json else lines:
        click.echo(click.style(line, fg=STYLES.get(line[:1])))
    return int(bool(lines) and exit_code)


def _spec(client: "Client", name: str) -> str:
    """The text of a spec; empty for no name."""
    if not name:
        return ""
    if is_file(name):
        return read_text(Path(name))
    agent, version = reference(name)
    request = pb.GetAgentRequest(name=agent, version=version)
    return client.agents.GetAgent(request).agent.spec


def _latest(client: "Client", file: str) -> str:
    """NAME@VERSION of the latest version of the agent whose spec the file is; empty where there is none yet."""
    import grpc

    checked = pb.ApplyAgentRequest(spec=read_text(Path(file)), dry_run=True)
    name = client.agents.ApplyAgent(checked).agent.name
    try:
        agent = client.agents.GetAgent(pb.GetAgentRequest(name=name)).agent
    except grpc.RpcError as error:
        if error.code() is grpc.StatusCode.NOT_FOUND:
            return ""
        raise
    return f"{agent.name}@{agent.version}"


def find_specs(names: Sequence[str]) -> list[Path]:
    """The files that are named, and the YAML files right in the folders that are named, by name. Raises CliError."""
    files: dict[Path, None] = {}
    for name in names:
        path = Path(name)
        if path.is_dir():
            inside = sorted(file for file in path.iterdir() if file.suffix in SUFFIXES and file.is_file())
            if not inside:
                raise CliError(f"{name} has no {' or '.join(SUFFIXES)} file", USAGE)
            files |= dict.fromkeys(inside)
        elif path.is_file():
            files[path] = None
        else:
            raise CliError(f"there is no file or folder {name}", USAGE)
    return list(files)


def is_file(name: str) -> bool:
    """Whether `name` means a spec's file rather than an agent."""
    return Path(name).suffix in SUFFIXES or Path(name).is_file()


def reference(name: str, what: str = "an agent") -> tuple[str, int]:
    """The name and the version of NAME or NAME@VERSION; 0 for the latest. Raises CliError."""
    match = _REFERENCE.fullmatch(name)
    if match is None:
        raise CliError(f"{name!r} is not {what}: write NAME or NAME@VERSION", USAGE)
    return match[1], int(match[2] or 0)
