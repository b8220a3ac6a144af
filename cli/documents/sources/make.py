"""Which source an argument of the command is."""

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from cli.documents.scan import document_id
from cli.documents.sources.archive import open_archive
from cli.documents.sources.confluence import ENTITIES, ConfluenceSource
from cli.documents.sources.fetch import Manners
from cli.documents.sources.files import GitSource, ZipSource
from cli.documents.sources.jira import JiraSource
from cli.documents.sources.records import RecordPaths, RecordsSource
from cli.documents.sources.source import BadSource, Source
from cli.documents.sources.web import WebLimits, WebSource

FILES, GIT, ZIP, CONFLUENCE, JIRA, WEB = "files", "git", "zip", "confluence", "jira", "web"
SPACE = b"Space Details"
"""What stands in the index of a Confluence space's HTML export."""


@dataclass(frozen=True, slots=True)
class Web:
    """How sites are walked."""

    limits: WebLimits
    manners: Manners


def kind_of(argument: str, here: Path) -> str:
    """What an argument is by itself: an address, a zip file, which may be a Confluence export, or files."""
    if argument.lower().startswith(("http://", "https://")):
        return WEB
    path = here / Path(argument).expanduser()
    if path.suffix.lower() == ".zip" and path.is_file() and zipfile.is_zipfile(path):
        return _kind_of_zip(path)
    return FILES


def _kind_of_zip(path: Path) -> str:
    with open_archive(path) as archive:
        for name in archive.entries:
            leaf = PurePosixPath(name).name
            if leaf == ENTITIES:
                return CONFLUENCE
            if leaf == "index.html":
                with archive.open(name) as source:
                    if SPACE in source.read(1 << 16):
                        return CONFLUENCE
    return ZIP


def make_source(
    kind: str, argument: str, here: Path, labels: Mapping[str, str], web: Web, records: RecordPaths | None = None
) -> Source:
    """A source of any kind but FILES. Raises BadSource."""
    if kind == WEB:
        return WebSource(argument, web.limits, web.manners, labels)
    path = here / Path(argument).expanduser()
    if not path.exists():
        raise BadSource("nothing is there")
    prefix = document_id(path, here).removeprefix(".")
    prefix = f"{prefix}/" if prefix else ""
    match kind:
        case "git":
            return GitSource(path, prefix, labels)
        case "zip":
            return ZipSource(path, prefix, labels)
        case "confluence":
            return ConfluenceSource(path, prefix, labels)
        case "jira":
            return JiraSource(path, prefix, labels)
        case "records":
            if records is None:
                raise BadSource("where in a record is its text? Say it with --record-text")
            return RecordsSource(path, prefix, records, labels)
    raise BadSource(f"there is no kind of source {kind!r}")


def sorted_out(
    arguments: Sequence[str],
    kind: str,
    here: Path,
    labels: Mapping[str, str],
    web: Web,
    records: RecordPaths | None = None,
) -> tuple[list[str], list[tuple[str, Source]]]:
    """Those arguments that are files, and the sources that the others are. `kind` is empty where each tells its own;
    "records" wants `records`. Raises BadSource, naming the argument."""
    files: list[str] = []
    sources: list[tuple[str, Source]] = []
    for argument in arguments:
        try:
            own = kind or kind_of(argument, here)
            if own == FILES:
                files.append(argument)
            else:
                sources.append((argument, make_source(own, argument, here, labels, web, records)))
        except BadSource as error:
            raise BadSource(f"{argument}: {error}") from error
    return files, sources
