"""Where an ingestion looks, and which stored documents are gone from there.

A document is gone only if the place that it came from was looked at, and it was not there. One that is there but was
skipped, one that came from elsewhere, and one whose folder cannot be looked into are not.
"""

import fnmatch
import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

from cli.brief import counted


@dataclass(slots=True)
class SearchedPath:
    """What a PATH stands for: a file, a folder with all below it, or what a pattern matches. `files`: found in it."""

    name: str
    path: Path
    pattern: bool = False
    files: int = 0

    def covers(self, path: Path) -> bool:
        """Whether a file of that path would have been found."""
        if not self.pattern:
            return path == self.path or self.path in path.parents
        pattern = self.path.parts
        return any(_matches(each.parts, pattern) for each in (path, *path.parents))


@dataclass
class MissingDocuments:
    """Stored documents that an ingestion did not find. `gone` are to be deleted.

    `there` are still where they came from, or that cannot be seen; `elsewhere` are from a place not looked at.
    `doubts` say why some that are gone may have been put out of sight instead.
    """

    gone: list[Any] = field(default_factory=list)
    there: int = 0
    elsewhere: int = 0
    doubts: list[str] = field(default_factory=list)

    @property
    def question(self) -> str:
        """The doubts, and what takes them away; empty where there are none."""
        doubts = "; ".join(self.doubts)
        return doubts and f"{doubts}: is something not mounted? If they are to be deleted, add --yes"


def find_missing(
    stored: Iterable[Any], found: Mapping[str, object], searched: Iterable[SearchedPath]
) -> MissingDocuments:
    """Sort the stored documents that were not found this time. `found` has the ids of those that were."""
    missing, searched = MissingDocuments(), list(searched)
    lost: dict[str, int] = {}
    for document in stored:
        if document.id in found:
            continue
        path = local_path(document.uri)
        covering = [place for place in searched if path and place.covers(path)]
        if path is None or not covering:
            missing.elsewhere += 1
        elif not is_gone(path):
            missing.there += 1
        else:
            missing.gone.append(document)
            doubt = _doubt(path, covering)
            if doubt:
                lost[doubt] = lost.get(doubt, 0) + 1
    missing.doubts = [
        f"{doubt} ({counted(count, 'document')} came from there)" for doubt, count in sorted(lost.items())
    ]
    return missing


def local_path(uri: str) -> Path | None:
    """The file that a URI names; None where it names none of this machine's."""
    parts = urlsplit(uri)
    if parts.scheme != "file" or parts.netloc not in ("", "localhost") or not parts.path:
        return None
    return Path(os.path.abspath(os.fsdecode(unquote_to_bytes(parts.path))))  # noqa: PTH100 (resolve follows links)


def file_is_gone(document: Any) -> bool:
    """Whether the file that a stored document came from is gone."""
    path = local_path(document.uri)
    return path is not None and is_gone(path)


def is_gone(path: Path) -> bool:
    """Whether nothing is at `path`, seen from a folder that can be read. A link that leads nowhere is something."""
    if _mode(path) != 0:
        return False
    nearest = _nearest(path)
    try:
        return _mode(nearest) == stat.S_IFREG or _listed(nearest)
    except OSError:
        return False


def _mode(path: Path) -> int:
    """The kind of what is at `path`: 0 for nothing, -1 where that cannot be seen."""
    try:
        return stat.S_IFMT(path.lstat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return 0
    except (OSError, ValueError):
        return -1


def _nearest(path: Path) -> Path:
    """The last of the folders above `path` that is there."""
    return next(parent for parent in path.parents if _mode(parent) != 0)


def _listed(folder: Path) -> bool:
    """Whether the folder can be read, which it must be for what is not in it to count as gone."""
    with os.scandir(folder) as entries:
        next(entries, None)
    return True


def _doubt(path: Path, covering: list[SearchedPath]) -> str:
    """Why a file that is gone may be back: as a folder looks whose disk or share is not mounted."""
    empty = next((place for place in covering if not place.files), None)
    if empty:
        return f"nothing to ingest was found in {empty.name}"
    nearest = _nearest(path)
    if nearest.is_dir() and not any(nearest.iterdir()):
        return f"{nearest} is empty"
    return ""


def _matches(parts: tuple[str, ...], pattern: tuple[str, ...]) -> bool:
    """Whether a path matches a pattern as `glob` reads it, part by part."""
    if not pattern:
        return not parts
    if pattern[0] == "**":
        deep = next((at for at, part in enumerate(parts) if part.startswith(".")), len(parts))
        return any(_matches(parts[skip:], pattern[1:]) for skip in range(deep + 1))
    if not parts or (parts[0].startswith(".") and not pattern[0].startswith(".")):
        return False
    return fnmatch.fnmatchcase(parts[0], pattern[0]) and _matches(parts[1:], pattern[1:])
