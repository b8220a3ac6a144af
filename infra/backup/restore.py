"""Putting a backup back: all of it is checked before anything is written, and the data directory appears whole.

The files are written to a folder beside the data directory, which takes its place in the end. What was there before is
kept, under another name.
"""

import fcntl
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from infra.backup.archive import ArchiveReader, sync_folder
from infra.backup.errors import BackupFailed, BadBackup
from infra.backup.manifest import Manifest, SavedFile
from infra.local.layout import PRIVATE, Layout
from infra.local.lock import DirectoryLock, Locked, is_locked
from services.runtime import data_format
from services.runtime.errors import CannotStart
from services.runtime.file_faults import why

MODE = 0o600
OnBytes = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Restored:
    """`replaced` is where the data is that was there before, if there was any."""

    manifest: Manifest
    replaced: Path | None


def check(file: Path, on_bytes: OnBytes) -> Manifest:
    """Read all of a backup. Raises BackupFailed unless it is whole, and what was saved."""
    try:
        with ArchiveReader(file) as archive:
            _check(file, archive, on_bytes)
            return archive.manifest
    except OSError as error:
        raise BackupFailed(f"{file} cannot be read: {error.strerror}") from error


def restore(file: Path, root: Path, on_bytes: OnBytes, replace: bool = False) -> Restored:
    """Make `root` the data directory that was saved. Raises BackupFailed, with nothing changed."""
    root = root.resolve()
    _check_target(root, replace)
    try:
        with ArchiveReader(file) as archive:
            _check(file, archive, on_bytes)
            _check_space(root, archive.manifest)
            staged = _Staging(root)
            try:
                for folder in archive.manifest.folders:
                    staged.make(folder)
                for saved in archive.manifest.files:
                    staged.write(saved, archive, on_bytes)
                return Restored(archive.manifest, staged.take_place(replace))
            finally:
                staged.close()
    except OSError as error:
        raise BackupFailed(f"nothing was restored to {root}: {why(error)}") from error


def total_bytes(file: Path) -> int:
    """How many bytes are read to check a backup. Raises BackupFailed."""
    try:
        with ArchiveReader(file) as archive:
            return sum(saved.stored for saved in archive.manifest.files)
    except OSError as error:
        raise BackupFailed(f"{file} cannot be read: {error.strerror}") from error


def _check(file: Path, archive: ArchiveReader, on_bytes: OnBytes) -> None:
    try:
        data_format.check(archive.manifest.data, str(file))
    except CannotStart as error:
        raise BadBackup(str(error)) from error
    for saved in archive.manifest.files:
        for _, data in archive.data(saved):
            on_bytes(len(data))


def _check_target(root: Path, replace: bool) -> None:
    layout = Layout(root)
    if root.exists() and not root.is_dir():
        raise BackupFailed(f"{root} is no folder: choose another data directory with --data")
    if is_locked(layout.lock):
        raise BackupFailed(f"a mesh is running on {root}: stop it, or choose another data directory with --data")
    if root.is_dir() and any(root.iterdir()) and not replace:
        raise BackupFailed(
            f"{root} is not empty: choose another data directory with --data, or say --replace, which keeps what is "
            "there under another name"
        )


def _check_space(root: Path, made: Manifest) -> None:
    needed = sum(saved.stored for saved in made.files)
    root.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(root.parent).free
    if free < needed:
        raise BackupFailed(
            f"the disk of {root} has {free >> 20} MiB left, and the data takes {needed >> 20} MiB: free some, or "
            "choose another data directory with --data"
        )


class _Staging:
    """The folder beside the data directory in which it is made. What a killed process left of one goes."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._folder = root.with_name(f".{root.name}.restoring")
        self._folder.mkdir(mode=PRIVATE, exist_ok=True)
        self._descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._descriptor)
            raise BackupFailed(f"something is being restored to {root} already") from None
        self._folder.chmod(PRIVATE)
        for left in self._folder.iterdir():
            shutil.rmtree(left) if left.is_dir() and not left.is_symlink() else left.unlink()

    def close(self) -> None:
        """Remove what did not take its place."""
        os.close(self._descriptor)
        shutil.rmtree(self._folder, ignore_errors=True)

    def make(self, path: str) -> None:
        """The folder, and those that it is in, their owner's alone."""
        for folder in reversed((self._folder / path, *(self._folder / path).parents)):
            if folder.is_relative_to(self._folder):
                folder.mkdir(mode=PRIVATE, exist_ok=True)

    def write(self, saved: SavedFile, archive: ArchiveReader, on_bytes: OnBytes) -> None:
        path = self._folder / saved.path
        self.make(PurePosixPath(saved.path).parent.as_posix())
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, MODE)
        try:
            os.ftruncate(descriptor, saved.size)
            for offset, data in archive.data(saved):
                _write_all(descriptor, data, offset)
                on_bytes(len(data))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def take_place(self, replace: bool) -> Path | None:
        """Become the data directory; where the one before is now. Raises BackupFailed, OSError."""
        for folder, _, _ in os.walk(self._folder):
            sync_folder(Path(folder))
        replaced = self._move_away() if replace and self._root.is_dir() and any(self._root.iterdir()) else None
        try:
            self._folder.rename(self._root)
        except OSError:
            if replaced is not None:
                with suppress(OSError):
                    replaced.rename(self._root)
            raise
        sync_folder(self._root.parent)
        return replaced

    def _move_away(self) -> Path:
        """No mesh can start on it meanwhile."""
        lock = DirectoryLock(Layout(self._root).lock)
        try:
            lock.take()
        except Locked:
            raise BackupFailed(f"a mesh has been started on {self._root}: stop it") from None
        try:
            replaced = self._root.with_name(f"{self._root.name}.replaced-{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}")
            self._root.rename(replaced)
            return replaced
        finally:
            lock.release()


def _write_all(descriptor: int, data: bytes, offset: int) -> None:
    while data:
        written = os.pwrite(descriptor, data, offset)
        data, offset = data[written:], offset + written
