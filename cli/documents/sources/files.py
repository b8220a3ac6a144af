"""The readable files of an archive, and those that a Git checkout tracks."""

import os
import stat
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from cli.documents.labels import BadLabels, Labelled, described_by, read_sidecar, sidecar_of
from cli.documents.scan import SNIFFED, LocalFile, is_no_text
from cli.documents.sources.archive import Archive, open_archive
from cli.documents.sources.source import BadSource, FoundDocument, SourceScan, filed
from services.runtime.file_faults import fault
from services.runtime.media_types import by_ending

LINK, SUBMODULE = "120000", "160000"
GIT_SECONDS = 120
# Of a repository's own settings, those that would run a program.
SAFE = ("-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null")


@dataclass(frozen=True, slots=True)
class ZipSource:
    """The files of a zip file whose types can be ingested. Ids are those of its entries behind `prefix`."""

    path: Path
    prefix: str
    labels: Mapping[str, str] = field(default_factory=dict)

    def scan(self, known: Mapping[str, str], workspace: Path) -> SourceScan:
        """See Source."""
        scan = SourceScan()
        with open_archive(self.path) as archive:
            if archive.links:
                scan.skip("links", count=archive.links)
            for name in archive.entries:
                self._take(archive, name, scan, workspace)
        return scan

    def _take(self, archive: Archive, name: str, scan: SourceScan, workspace: Path) -> None:
        media_type = by_ending(name)
        if any(part.startswith((".", "__MACOSX")) for part in PurePosixPath(name).parts):
            scan.skip("hidden")
        elif described_by(name) in archive.entries:
            scan.skip("a sidecar")
        elif media_type is None:
            scan.skip("of another type", name)
        else:
            self._copy(archive, name, media_type, scan, workspace)

    def _copy(self, archive: Archive, name: str, media_type: str, scan: SourceScan, workspace: Path) -> None:
        """To the workspace, so that the archive need not stay open."""
        with archive.open(name) as source:
            start = source.read(SNIFFED)
            if is_no_text(media_type, start):
                scan.skip("binary", name)
                return
            try:
                told = _told_in(archive, name).under(self.labels)
            except BadLabels as error:
                scan.failures.append((self.prefix + name, str(error)))
                return
            copy = workspace / str(len(scan.documents))
            with copy.open("wb") as out:
                out.write(start)
                while part := source.read(1 << 20):
                    out.write(part)
        uri = f"{self.path.absolute().as_uri()}#{name}"
        scan.documents.append(FoundDocument(self.prefix + name, uri, media_type, filed(copy), told.title, told.labels))


def _told_in(archive: Archive, name: str) -> Labelled:
    def size_of(entry: str) -> int | None:
        return archive.entries[entry].size if entry in archive.entries else None

    def read(entry: str) -> bytes:
        with archive.open(entry) as source:
            return source.read()

    return sidecar_of(name, size_of, read)


@dataclass(frozen=True, slots=True)
class GitSource:
    """The files that a Git checkout tracks, as they are in its work tree. Ids are their paths behind `prefix`."""

    path: Path
    prefix: str
    labels: Mapping[str, str] = field(default_factory=dict)

    def scan(self, known: Mapping[str, str], workspace: Path) -> SourceScan:
        """See Source."""
        scan = SourceScan()
        root = Path(os.path.realpath(self.path))
        entries = tracked(self.path)
        names = {name for _, name in entries}
        for mode, name in entries:
            path = self.path / name
            media_type = by_ending(name)
            if mode in (LINK, SUBMODULE):
                scan.skip("links" if mode == LINK else "submodules")
            elif described_by(name) in names:
                scan.skip("a sidecar")
            elif media_type is None:
                scan.skip("of another type", name)
            else:
                self._take(path, root / name, name, media_type, scan)
        return scan

    def _take(self, path: Path, real: Path, name: str, media_type: str, scan: SourceScan) -> None:
        try:
            status = path.lstat()
            if not stat.S_ISREG(status.st_mode) or Path(os.path.realpath(path)) != real:
                scan.skip("links")
                return
            with path.open("rb") as file:
                if is_no_text(media_type, file.read(SNIFFED)):
                    scan.skip("binary", name)
                    return
            told = read_sidecar(path).under(self.labels)
        except FileNotFoundError:
            scan.skip("deleted in the work tree", name)
        except (OSError, BadLabels) as error:
            scan.failures.append((self.prefix + name, fault(error) if isinstance(error, OSError) else str(error)))
            scan.complete = scan.complete and not isinstance(error, OSError)
        else:
            scan.documents.append(LocalFile(self.prefix + name, path, media_type, told.title, told.labels))


def tracked(path: Path) -> list[tuple[str, str]]:
    """Mode and name of each file that a checkout tracks at or below `path`. Raises BadSource."""
    command = ["git", *SAFE, "-C", str(path), "ls-files", "--stage", "-z"]
    try:
        done = subprocess.run(command, capture_output=True, timeout=GIT_SECONDS, check=False, stdin=subprocess.DEVNULL)
    except FileNotFoundError as error:
        raise BadSource("git is not installed; on Debian: apt-get install git") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BadSource(f"git did not list the files of {path}") from error
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise BadSource(f"{path} is no Git checkout: {said[0][:200] if said else done.returncode}")
    entries: dict[str, str] = {}
    for line in done.stdout.decode("utf-8", "surrogateescape").split("\0"):
        head, tab, name = line.partition("\t")
        if tab and _is_text(name):
            entries[name] = head.split(" ")[0]
    return [(mode, name) for name, mode in sorted(entries.items())]


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
