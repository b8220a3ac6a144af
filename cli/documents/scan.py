"""Which files an ingestion takes: paths, folders and globs, made into documents."""

import glob
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from cli.documents.sources import Source
from services.runtime.language.encodings import is_binary

MEDIA_TYPES = {
    ".txt": "text/plain",
    ".text": "text/plain",
    ".md": "text/markdown",
    ".markdown": "text/markdown",
    ".html": "text/html",
    ".htm": "text/html",
    ".pdf": "application/pdf",
}
SNIFFED = 8192


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A document to be: its id in the collection, where it is, what it is."""

    id: str
    path: Path
    media_type: str
    size: int


@dataclass
class FileScan:
    """What the paths came to. `skipped` counts by reason; `unreadable` has path and reason; `missing` matched nothing.

    `sources` are where the paths point to. `complete` is false where a folder or a file could not be read.
    """

    files: list[LocalFile] = field(default_factory=list)
    skipped: dict[str, int] = field(default_factory=dict)
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    sources: list[Source] = field(default_factory=list)
    complete: bool = True

    def skip(self, reason: str) -> None:
        self.skipped[reason] = self.skipped.get(reason, 0) + 1


def find_files(arguments: list[str], here: Path) -> FileScan:
    """Expand the arguments, each relative to `here`. A file named twice is taken once."""
    scan, seen = FileScan(), dict[str, bool]()
    for argument in arguments:
        source = Source(argument, _absolute(here / Path(argument).expanduser()))
        scan.sources.append(source)
        for path, named in _expand(argument, source, here, scan):
            identity = document_id(path, here)
            if identity not in seen:
                seen[identity] = _take(path, identity, named, scan)
            source.files += seen[identity]
    scan.files.sort(key=lambda file: file.id)
    return scan


def document_id(path: Path, here: Path) -> str:
    """The path relative to `here` when below it, else absolute, with forward slashes."""
    absolute = _absolute(path)
    return (absolute.relative_to(here) if absolute.is_relative_to(here) else absolute).as_posix()


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100 (resolve would follow links, and change the name)


def _expand(argument: str, source: Source, here: Path, scan: FileScan) -> Iterator[tuple[Path, bool]]:
    """The files that an argument stands for, each with whether it was named itself."""
    path = here / Path(argument).expanduser()
    if path.is_dir():
        yield from ((file, False) for file in _walk(path, scan))
    elif os.path.lexists(path):
        yield path, True
    else:
        source.pattern = glob.has_magic(argument)
        matches = sorted(glob.glob(str(path), recursive=True)) if source.pattern else []  # noqa: PTH207
        if not matches:
            scan.missing.append(argument)
        for match in map(Path, matches):
            if match.is_dir():
                yield from ((file, False) for file in _walk(match, scan))
            else:
                yield match, False


def _walk(top: Path, scan: FileScan) -> Iterator[Path]:
    """The files below a folder, links to folders followed once."""
    visited: set[tuple[int, int]] = set()

    def unreadable(error: OSError) -> None:
        scan.complete = False
        scan.unreadable.append((str(error.filename), error.strerror or "cannot be read"))

    for folder, folders, files in os.walk(top, followlinks=True, onerror=unreadable):
        status = os.stat(folder)  # noqa: PTH116 (a string from os.walk)
        if (status.st_dev, status.st_ino) in visited:
            folders.clear()
            continue
        visited.add((status.st_dev, status.st_ino))
        hidden = [name for name in folders if name.startswith(".")]
        for _ in hidden:
            scan.skip("hidden")
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if name.startswith("."):
                scan.skip("hidden")
            else:
                yield Path(folder, name)


def _take(path: Path, identity: str, named: bool, scan: FileScan) -> bool:
    """Add the file, or count why not; whether it was added. One that was named is taken whatever its ending, unless it
    is binary."""
    media_type = MEDIA_TYPES.get(path.suffix.lower())
    if media_type is None and not named:
        scan.skip("of another type")
        return False
    try:
        identity.encode()
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            scan.skip("not a file")
            return False
        with path.open("rb") as file:
            start = file.read(SNIFFED)
    except UnicodeEncodeError:
        scan.unreadable.append((identity.encode("utf-8", "replace").decode(), "its name is not valid UTF-8"))
        return False
    except OSError as error:
        scan.complete = False
        scan.unreadable.append((identity, error.strerror or "cannot be read"))
        return False
    if media_type != "application/pdf" and is_binary(start):
        scan.skip("binary")
        return False
    scan.files.append(LocalFile(identity, path, media_type or "text/plain", status.st_size))
    return True
