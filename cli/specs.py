"""Agents' specs as files, by name, and what differs between two of them."""

import difflib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from cli.errors import USAGE, CliError

SUFFIXES = (".yaml", ".yml")
_REFERENCE = re.compile(r"([a-z0-9][a-z0-9_-]{0,63})(?:@([1-9][0-9]{0,8}))?")


def find_specs(given: Sequence[str]) -> list[Path]:
    """The files that are named, and the YAML files right in the folders that are named, by name. Raises CliError."""
    found: dict[Path, None] = {}
    for name in given:
        path = Path(name)
        if path.is_dir():
            inside = sorted(one for one in path.iterdir() if one.suffix in SUFFIXES and one.is_file())
            if not inside:
                raise CliError(f"{name} has no {' or '.join(SUFFIXES)} file", USAGE)
            found |= dict.fromkeys(inside)
        elif path.is_file():
            found[path] = None
        else:
            raise CliError(f"there is no file or folder {name}", USAGE)
    return list(found)


def read_spec(path: Path) -> str:
    """The text of a spec. Raises CliError."""
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError:
        raise CliError(f"{path} is not valid UTF-8") from None
    except OSError as error:
        raise CliError(f"{path} cannot be read: {error.strerror}") from None


def is_file(name: str) -> bool:
    """Whether `name` means a spec's file rather than an agent."""
    return Path(name).suffix in SUFFIXES or Path(name).is_file()


def reference(name: str) -> tuple[str, int]:
    """The name and the version of NAME or NAME@VERSION; 0 for the latest. Raises CliError."""
    found = _REFERENCE.fullmatch(name)
    if found is None:
        raise CliError(f"{name!r} is not an agent: write NAME or NAME@VERSION", USAGE)
    return found[1], int(found[2] or 0)


def difference(old: str, new: str, old_name: str, new_name: str) -> Iterator[str]:
    """The lines of a unified diff; none where the two are the same."""
    return difflib.unified_diff(old.splitlines(), new.splitlines(), old_name, new_name, lineterm="")
