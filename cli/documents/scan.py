"""Which files an ingestion takes: paths, folders and globs, made into documents."""

import glob
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from cli.documents.labels import BadLabels, Labelled, described_by, read_sidecar
from cli.documents.missing import SearchedPath
from cli.documents.sources.source import Skips
from cli.documents.walk import Walk, split_pattern
from services.runtime.language.encodings import is_binary
from services.runtime.media_types import BINARY, PLAIN, by_ending

SNIFFED = 8192
LINK = "links out of their folder"


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file as a SourceDocument: its id in the collection, where it is, what it is, and what is said of it."""

    id: str
    path: Path
    media_type: str
    title: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    content_hash: str = ""

    @property
    def uri(self) -> str:
        return self.path.absolute().as_uri()

    def open(self) -> BinaryIO:
        """Its bytes. Raises OSError."""
        return self.path.open("rb")


@dataclass
class FileScan(Skips):
    """What the paths came to. `unreadable` has path and reason; `missing` matched nothing.

    `not_taken` are files that were named and are nothing to ingest, each with why; `links` were not followed.
    `searched` are the places that the paths point to; `labels` are given to all. `complete` is false where a folder or
    a file could not be read.
    """

    files: list[LocalFile] = field(default_factory=list)
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    not_taken: list[tuple[str, str]] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    searched: list[SearchedPath] = field(default_factory=list)
    labels: Mapping[str, str] = field(default_factory=dict)
    complete: bool = True

    def leave(self, name: str, reason: str, named: bool) -> bool:
        """Skip a file; one that was named is a failure. False."""
        if named:
            self.not_taken.append((name, f"it is {reason}"))
        else:
            self.skip(reason, name)
        return False

    def refuse_link(self, name: str) -> None:
        if name not in self.links:
            self.links.append(name)
            self.skip(LINK)


def find_files(
    arguments: list[str], here: Path, follow_links: bool = False, labels: Mapping[str, str] | None = None
) -> FileScan:
    """Expand the arguments, each relative to `here`. A file named twice is taken once, and as one that was named.
    `labels` are given to each, before those of its sidecar."""
    scan, seen = FileScan(labels=labels or {}), dict[str, bool]()
    for argument in sorted(arguments, key=lambda argument: not _names_a_file(here, argument)):
        place = SearchedPath(argument, _absolute(here / Path(argument).expanduser()))
        scan.searched.append(place)
        for path, named in _expand(argument, place, here, scan, follow_links):
            identity = document_id(path, here)
            if identity not in seen:
                seen[identity] = _take(path, identity, named, scan)
            place.files += seen[identity]
    scan.files.sort(key=lambda file: file.id)
    return scan


def _names_a_file(here: Path, argument: str) -> bool:
    path = here / Path(argument).expanduser()
    return os.path.lexists(path) and not path.is_dir()


def document_id(path: Path, here: Path) -> str:
    """The path relative to `here` when below it, else absolute, with forward slashes."""
    absolute = _absolute(path)
    return (absolute.relative_to(here) if absolute.is_relative_to(here) else absolute).as_posix()


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100 (resolve would follow links, and change the name)


def _expand(
    argument: str, place: SearchedPath, here: Path, scan: FileScan, follow_links: bool
) -> Iterator[tuple[Path, bool]]:
    """The files that an argument stands for, each with whether it was named itself."""
    path = here / Path(argument).expanduser()
    if _names_a_file(here, argument):
        yield path, True
        return
    place.pattern = glob.has_magic(argument) and not path.is_dir()
    base, pattern = split_pattern(path) if place.pattern else (path, ())
    if not base.is_dir():
        scan.missing.append(argument)
        return

    def unreadable(error: OSError) -> None:
        scan.complete = False
        scan.unreadable.append((str(error.filename), error.strerror or "cannot be read"))

    walk = Walk(base, follow_links, unreadable, lambda: scan.skip("hidden"))
    matched = False
    for match in walk.matching(base, pattern):
        matched = True
        yield from ((file, False) for file in (walk.files(match) if match.is_dir() else (match,)))
    if not matched and not walk.refused:
        scan.missing.append(argument)
    for link in walk.refused:
        scan.refuse_link(document_id(link, here))


def _take(path: Path, identity: str, named: bool, scan: FileScan) -> bool:
    """Add the file, or count why not; whether it was added. One that was named is taken whatever its ending, unless it
    is binary."""
    if (described := described_by(path.name)) and path.with_name(described).is_file():
        return scan.leave(identity, "a sidecar", named)
    media_type = by_ending(path.name)
    if media_type is None and not named:
        scan.skip("of another type", identity)
        return False
    try:
        identity.encode()
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            return scan.leave(identity, "not a file", named)
        with path.open("rb") as file:
            start = file.read(SNIFFED)
    except UnicodeEncodeError:
        scan.unreadable.append((identity.encode("utf-8", "replace").decode(), "its name is not valid UTF-8"))
        return False
    except OSError as error:
        scan.complete = False
        scan.unreadable.append((identity, error.strerror or "cannot be read"))
        return False
    if is_no_text(media_type, start):
        return scan.leave(identity, "binary", named)
    told = _labelled(path, identity, scan)
    if told is not None:
        media_type = media_type or PLAIN
        scan.files.append(LocalFile(identity, path, media_type, told.title, told.labels))
    return told is not None


def is_no_text(media_type: str | None, start: bytes) -> bool:
    """Whether a file that begins so is binary, though its type is a text's, or it has none."""
    return media_type not in BINARY and is_binary(start)


def _labelled(path: Path, identity: str, scan: FileScan) -> Labelled | None:
    """What is said of the file; None where that cannot be read, which fails it."""
    try:
        return read_sidecar(path).under(scan.labels)
    except BadLabels as error:
        scan.unreadable.append((identity, str(error)))
        return None
