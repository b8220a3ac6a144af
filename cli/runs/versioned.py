"""What is kept by name and version, whose versions are files: agents and prompts."""

import difflib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.errors import FAILURE, USAGE, CliError
from cli.files import read_text
from cli.options import MeshOptions
from cli.output import print_json

if TYPE_CHECKING:
    from cli.client import Client

SUFFIXES = (".yaml", ".yml")
STYLES = {"+": "green", "-": "red", "@": "cyan"}
_REFERENCE = re.compile(r"([a-z0-9][a-z0-9_-]{0,63})(?:@([1-9][0-9]{0,8}))?")


@dataclass(frozen=True, slots=True)
class Versioned:
    """`one` and `many` are what they are called. `apply` stores the text of a file, or only checks it, and returns what
    is stored then and whether it has changed; `get` returns a version of a name, 0 for the latest. What they return has
    a name, a version and a spec."""

    one: str
    many: str
    apply: Callable[["Client", str, bool], tuple[Any, bool]]
    get: Callable[["Client", str, int], Any]

    def reference(self, name: str) -> tuple[str, int]:
        """The name and the version of NAME or NAME@VERSION; 0 for the latest. Raises CliError."""
        match = _REFERENCE.fullmatch(name)
        if match is None:
            raise CliError(f"{name!r} is not {self.one}: write NAME or NAME@VERSION", USAGE)
        return match[1], int(match[2] or 0)

    def find(self, client: "Client", name: str) -> Any:
        """The version that NAME or NAME@VERSION means. Raises CliError."""
        return self.get(client, *self.reference(name))

    def apply_files(self, on: MeshOptions, paths: Sequence[str], dry_run: bool) -> int:
        """Store files as the next versions, and tell what became of each; the exit status."""
        files = find_files(paths)
        with on.client() as client:
            results = [self._applied(client, path, dry_run) for path in files]
        if on.as_json:
            print_json({"dry_run": dry_run, self.many: results})
        else:
            for one in results:
                click.echo(line(one, dry_run), err="error" in one)
        return FAILURE if any("error" in one for one in results) else 0

    def compare(self, on: MeshOptions, old: str, new: str | None, exit_code: bool) -> int:
        """Show in what two differ, each a file or NAME or NAME@VERSION; the exit status. One alone is compared with
        what is applied: a file with the latest version of its name, a version with the latest."""
        with on.client() as client:
            first, second = (self._latest(client, old), old) if new is None and is_file(old) else (old, new)
            before, after = self._spec(client, first), self._spec(client, second or old.partition("@")[0])
        names = first or "(none)", second or f"{old.partition('@')[0]} (latest)"
        lines = list(difflib.unified_diff(before.splitlines(), after.splitlines(), *names, lineterm=""))
        if on.as_json:
            print_json({"old": names[0], "new": names[1], "same": not lines, "diff": lines})
        elif not lines:
            click.echo("There is no difference.")
        for line in () if on.as_json else lines:
            click.echo(click.style(line, fg=STYLES.get(line[:1])))
        return int(bool(lines) and exit_code)

    def _applied(self, client: "Client", path: Path, dry_run: bool) -> dict[str, Any]:
        """What became of one file. A failure that is not the file's ends the command."""
        import grpc

        try:
            stored, changed = self.apply(client, read_text(path), dry_run)
        except CliError as error:
            return {"file": str(path), "error": str(error)}
        except grpc.RpcError as error:
            if error.code() not in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED):
                raise
            return {"file": str(path), "error": error.details()}
        return {
            "file": str(path), "name": stored.name, "version": stored.version, "changed": changed,
            "unavailable": stored.unavailable,
        }  # fmt: skip

    def _spec(self, client: "Client", name: str) -> str:
        """The text of a file, or of a version; empty for no name."""
        if not name:
            return ""
        return read_text(Path(name)) if is_file(name) else str(self.find(client, name).spec)

    def _latest(self, client: "Client", file: str) -> str:
        """NAME@VERSION of the latest version of what the file is; empty where there is none yet."""
        import grpc

        name = self.apply(client, read_text(Path(file)), True)[0].name
        try:
            latest = self.get(client, name, 0)
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.NOT_FOUND:
                return ""
            raise
        return f"{latest.name}@{latest.version}"


def find_files(names: Sequence[str]) -> list[Path]:
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
    """Whether `name` means a file rather than what is kept."""
    return Path(name).suffix in SUFFIXES or Path(name).is_file()


def line(one: dict[str, Any], dry_run: bool) -> str:
    """What became of a file, for people."""
    if "error" in one:
        return f"{one['file']}: {one['error']}"
    would = "would be " if dry_run else ""
    what = f"{would}version {one['version']}" if one["changed"] else f"unchanged, version {one['version']}"
    hint = f" (it cannot be used now: {one['unavailable']})" if one["unavailable"] else ""
    return f"{one['name']}: {what}{hint}"
