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
from cli.documents.sources.jira_xml import read_rss
from cli.documents.sources.source import BadSource, FoundDocument, SourceScan, filed
from services.runtime.file_faults import fault
from services.runtime.labels import filled
from services.runtime.media_types import HTML

READERS: Mapping[str, Callable[[BinaryIO], Iterable[Issue]]] = {
    ".xml": read_rss,
    ".csv": read_csv,
    ".json": read_json,
}
LARGEST = 512 << 20


@dataclass(frozen=True, slots=True)
class JiraSource:
    """An export. Ids are `prefix` and the issue's key."""

    path: Path
    prefix: str
    labels: Mapping[str, str] = field(default_factory=dict)

    def scan(self, known: Mapping[str, str], workspace: Path) -> SourceScan:
        """See Source."""
        scan = SourceScan()
        met: set[str] = set()
        suffix = self.path.suffix.lower()
        if suffix in READERS and self.path.is_file():
            try:
                with self.path.open("rb") as source:
                    self._read(self.path.name, self.path.stat().st_size, source, scan, met, workspace)
            except OSError as error:
                raise BadSource(f"{self.path.name} cannot be read: {fault(error)}") from error
            return scan
        with open_archive(self.path) as archive:
            self._read_all(archive, scan, met, workspace)
        if not met:
            raise BadSource(f"{self.path.name} is no export of Jira: it has no issues in XML, CSV or JSON")
        return scan

    def _read_all(self, archive: Archive, scan: SourceScan, met: set[str], workspace: Path) -> None:
        for name, entry in archive.entries.items():
            if PurePosixPath(name).suffix.lower() in READERS:
                with archive.open(name) as source:
                    self._read(name, entry.size, source, scan, met, workspace)
            else:
                scan.skip("of another type", name)

    def _read(self, name: str, size: int, source: BinaryIO, scan: SourceScan, met: set[str], workspace: Path) -> None:
        if size > LARGEST:
            raise BadSource(f"{name} is larger than {LARGEST >> 20} MiB")
        for issue in READERS[PurePosixPath(name).suffix.lower()](source):
            if issue.key in met:
                scan.skip("issues that are there twice", issue.key)
                continue
            met.add(issue.key)
            copy = workspace / str(len(scan.documents))
            copy.write_text(issue.html, "utf-8", errors="replace")
            uri = issue.link or f"{self.path.absolute().as_uri()}#{issue.key}"
            labels = filled(self.labels, issue.labels)
            scan.documents.append(FoundDocument(self.prefix + issue.key, uri, HTML, filed(copy), issue.title, labels))
