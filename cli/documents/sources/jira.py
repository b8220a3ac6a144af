"""Exports of Jira: XML (RSS), CSV or JSON, as a file, or as several in a folder or a zip file. Each issue is a
document."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from cli.documents.sources.archive import Archive, open_archive
from cli.documents.sources.issues import Issue
from cli.documents.sources.jira_csv import read_csv
from cli.documents.sources.jira_json import read_json
from cli.documents.sources.jira_pages import SearchPage, faults
from cli.documents.sources.jira_xml import read_rss
from cli.documents.sources.source import BadSource, FoundDocument, SourceScan, filed
from services.runtime.file_faults import fault
from services.runtime.labels import filled
from services.runtime.media_types import HTML

READERS: Mapping[str, Callable[[BinaryIO], Iterable[Issue | SearchPage]]] = {
    ".xml": read_rss,
    ".csv": read_csv,
    ".json": read_json,
}
LARGEST = 512 << 20
LEFT_OUT = "comments that the export leaves out"


@dataclass(frozen=True, slots=True)
class JiraSource:
    """An export. Ids are `prefix` and the issue's key."""

    path: Path
    prefix: str
    labels: Mapping[str, str] = field(default_factory=dict)

    def scan(self, known: Mapping[str, str], workspace: Path) -> SourceScan:
        """See Source."""
        reading = _Reading(self, workspace)
        suffix = self.path.suffix.lower()
        if suffix in READERS and self.path.is_file():
            try:
                with self.path.open("rb") as source:
                    reading.read(self.path.name, self.path.stat().st_size, source)
            except OSError as error:
                raise BadSource(f"{self.path.name} cannot be read: {fault(error)}") from error
            return reading.end()
        with open_archive(self.path) as archive:
            reading.read_all(archive)
        if not reading.met:
            raise BadSource(f"{self.path.name} is no export of Jira: it has no issues in XML, CSV or JSON")
        return reading.end()


@dataclass
class _Reading:
    """One reading of an export: the keys that were met, and what its files say of the searches that they are of."""

    source: JiraSource
    workspace: Path
    scan: SourceScan = field(default_factory=SourceScan)
    met: set[str] = field(default_factory=set)
    pages: list[tuple[str, SearchPage]] = field(default_factory=list)

    def read_all(self, archive: Archive) -> None:
        for name, entry in archive.entries.items():
            if PurePosixPath(name).suffix.lower() in READERS:
                with archive.open(name) as source:
                    self.read(name, entry.size, source)
            else:
                self.scan.skip("of another type", name)

    def read(self, name: str, size: int, source: BinaryIO) -> None:
        if size > LARGEST:
            raise BadSource(f"{name} is larger than {LARGEST >> 20} MiB")
        for each in READERS[PurePosixPath(name).suffix.lower()](source):
            if isinstance(each, SearchPage):
                self.pages.append((name, each))
            elif each.key in self.met:
                self.scan.skip("issues that are there twice", each.key)
            else:
                self._take(each)

    def _take(self, issue: Issue) -> None:
        self.met.add(issue.key)
        copy = self.workspace / str(len(self.scan.documents))
        copy.write_text(issue.html, "utf-8", errors="replace")
        uri = issue.link or f"{self.source.path.absolute().as_uri()}#{issue.key}"
        labels = filled(self.source.labels, issue.labels)
        self.scan.documents.append(
            FoundDocument(self.source.prefix + issue.key, uri, HTML, filed(copy), issue.title, labels)
        )
        if issue.comments_absent:
            self.scan.skip(LEFT_OUT, issue.key, issue.comments_absent)

    def end(self) -> SourceScan:
        """What it came to, once all files are read."""
        for name, why in faults(self.pages):
            self.scan.fail(name, why)
        return self.scan
