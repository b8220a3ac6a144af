"""Making a backup of a mesh that may be running and at work.

Each database is copied as it is at one moment, each collection while its writers wait, one after the other. The file
gets its name when it is whole and on the disk.
"""

import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from infra.backup.archive import ArchiveWriter, looks_like_one, sync_folder
from infra.backup.errors import BackupFailed
from infra.backup.manifest import Manifest
from infra.backup.places import DATABASES, STORE, Places
from services.retrieval.store.folders import collection_files, collection_folders
from services.runtime import data_format
from services.runtime.copy_lock import copying
from services.runtime.errors import CannotStart
from services.runtime.file_faults import why
from services.runtime.records.snapshot import DatabaseDamaged, snapshot

MODE = 0o600
Progress = Callable[[str, int], None]
"""What is being saved, and how many bytes of it went in."""


@dataclass(frozen=True, slots=True)
class Saved:
    """A backup that was made."""

    file: Path
    manifest: Manifest
    bytes: int


def save(places: Places, target: Path, progress: Progress, partial: bool = False) -> Saved:
    """Write the backup to `target`: a file, or a folder in which it gets a name of its own. What is kept elsewhere is
    left out only where a `partial` backup will do. Raises BackupFailed."""
    if places.elsewhere and not partial:
        raise BackupFailed(
            f"{'; '.join(places.elsewhere)}. With --partial the rest is backed up, and that is left to you"
        )
    root = places.layout.root
    try:
        found = data_format.read(root)
        data_format.check(found, str(root))
        file = _file_at(target)
        with _whole_or_nothing(file) as out:
            made = _write(places, found, out, file.with_name(f".{file.name}.part.db"), progress)
        return Saved(file, made, file.stat().st_size)
    except CannotStart as error:
        raise BackupFailed(str(error)) from error
    except (OSError, EOFError, sqlite3.Error, DatabaseDamaged) as error:
        raise BackupFailed(f"no backup was made: {why(error)}") from error


def expected_bytes(places: Places) -> int:
    """About how many bytes a backup has."""
    files = [*places.databases.values(), *(path for path, _ in places.small_files())]
    if places.collections:
        files += [file for folder in collection_folders(places.collections) for file in _files(folder)]
    return sum(_allocated(file) for file in files)


def _write(
    places: Places, found: data_format.DataFormat, out: IO[bytes], scratch: Path, progress: Progress
) -> Manifest:
    """Write all of the archive; databases are copied to `scratch` first."""
    what = ""
    archive = ArchiveWriter(out, lambda count: progress(what, count))
    collections = 0
    if STORE in places.databases:
        what = f"the records of {STORE}"
        _add_records(archive, places, STORE, scratch)
    for folder in collection_folders(places.collections) if places.collections else ():
        what = f"collection {folder.parent.name}/{folder.name}"
        collections += _add_collection(archive, folder, f"{STORE}/{folder.parent.name}/{folder.name}")
    for service in places.databases:
        if service != STORE:
            what = f"the records of {service}"
            _add_records(archive, places, service, scratch)
    what = "keys"
    for file, path in places.small_files():
        archive.add(file, path)
    if (marked := places.layout.root / data_format.FILE).is_file():
        archive.add(marked, data_format.FILE)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    data = data_format.DataFormat(found.number, found.product or data_format.product_version())
    made = Manifest(data, now, archive.files, archive.folders, collections, tuple(places.elsewhere))
    archive.finish(made)
    return made


def _add_records(archive: ArchiveWriter, places: Places, service: str, scratch: Path) -> None:
    database = places.databases[service]
    if not database.is_file():
        if places.is_usual(service):
            return  # no mesh of a version that keeps them has been ready on this data
        raise BackupFailed(f"there are no records of {service} in {database}, which the settings name")
    with _private_file(scratch):
        snapshot(database, scratch)
        archive.add(scratch, f"{service}/{DATABASES[service]}")


def _add_collection(archive: ArchiveWriter, folder: Path, path: str) -> bool:
    """Add a collection as it is while nobody writes to it; False where it was deleted meanwhile."""
    try:
        with copying(folder):
            for file in collection_files(folder):
                within = f"{path}/{file.relative_to(folder).as_posix()}"
                if file.is_dir():
                    archive.add_folder(within)
                else:
                    archive.add(file, within)
    except FileNotFoundError:
        if folder.exists():
            raise
        return False
    return True


def _files(folder: Path) -> list[Path]:
    try:
        return collection_files(folder)
    except FileNotFoundError:
        return []


def _allocated(file: Path) -> int:
    try:
        status = file.stat()
    except OSError:
        return 0
    return min(status.st_size, status.st_blocks * 512)


def _file_at(target: Path) -> Path:
    """Raises BackupFailed where something else is there."""
    if target.is_dir():
        return target / f"headworks-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.tar"
    if target.exists() and not (target.is_file() and looks_like_one(target)):
        raise BackupFailed(f"{target} is there, and is no backup: name another file, or a folder")
    return target


@contextmanager
def _whole_or_nothing(file: Path) -> Iterator[IO[bytes]]:
    """A file of its owner's alone that gets its name once all is on the disk. One that a killed process left is
    written over. Raises BackupFailed where another process writes it."""
    part = file.with_name(f".{file.name}.part")
    descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, MODE)
    with os.fdopen(descriptor, "r+b") as out:
        try:
            fcntl.flock(out, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BackupFailed(f"another backup to {file} is under way") from None
        try:
            os.fchmod(out.fileno(), MODE)
            out.truncate()
            yield out
            out.flush()
            os.fsync(out.fileno())
            part.replace(file)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
    sync_folder(file.parent)


@contextmanager
def _private_file(path: Path) -> Iterator[None]:
    """An empty file of its owner's alone, gone in the end. One that a killed process left goes first."""
    path.unlink(missing_ok=True)
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, MODE))
    try:
        yield
    finally:
        path.unlink()
