"""A folder with all below it, as a source that `headworks sync` keeps a collection equal to."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from cli.documents.scan import find_files
from cli.documents.sources.source import BadSource, SourceScan


@dataclass(frozen=True, slots=True)
class FolderSource:
    """Ids are the files' paths below `path`, behind `prefix`."""

    path: Path
    prefix: str
    labels: Mapping[str, str] = field(default_factory=dict)
    follow_links: bool = False

    def scan(self, known: Mapping[str, str], workspace: Path) -> SourceScan:
        """See Source."""
        if not self.path.is_dir():
            raise BadSource(f"{self.path} is no folder, or not mounted")
        files = find_files(["."], self.path.absolute(), self.follow_links, self.labels)
        scan = SourceScan([replace(file, id=self.prefix + file.id) for file in files.files])
        scan.add_skips(files)
        scan.complete, scan.searched = files.complete, files.searched
        scan.failures = [(name if name.startswith("/") else self.prefix + name, why) for name, why in files.unreadable]
        return scan
