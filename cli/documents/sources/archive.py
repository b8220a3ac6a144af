"""An export as a folder or a zip file: its entries by name, none of which leads out of it, and no more than fit.

A zip file is refused as a whole where a name leads out of it or is there twice, where an entry is encrypted, and where
it would unpack to more than the limits. Links are left. Names of a zip file made on Windows may have backslashes.
"""

import lzma
import stat
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Protocol

from cli.documents.sources.source import BadSource
from cli.documents.walk import Walk
from services.runtime.file_faults import fault
from services.runtime.zips import ENCRYPTED, ZipLimits, excess

WINDOWS = (0, 10, 14)
"""Systems, by their numbers in a zip file, on which a backslash parts a name: FAT, NTFS and VFAT."""
BROKEN = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, NotImplementedError, EOFError)
LIMITS = ZipLimits(entries=200_000, total_bytes=8 << 30, ratio=200, suspect_bytes=16 << 20)


@dataclass(frozen=True, slots=True)
class Entry:
    """A file in an archive, by the name that it is packed under. `size` in bytes."""

    name: str
    size: int


class Archive(Protocol):
    """The entries by name, in order; `links` is how many were left."""

    @property
    def entries(self) -> Mapping[str, Entry]: ...
    @property
    def links(self) -> int: ...

    def open(self, name: str) -> BinaryIO:
        """An entry's bytes. Raises OSError."""
        ...


@contextmanager
def open_archive(path: Path, limits: ZipLimits = LIMITS) -> Iterator[Archive]:
    """The folder or zip file at `path`. Raises BadSource, also for what turns out broken while it is read."""
    try:
        if path.is_dir():
            yield _Folder(path, limits)
            return
        with zipfile.ZipFile(path) as packed:
            yield _Zip(packed, limits)
    except BROKEN as error:
        raise BadSource(f"{path.name} is no zip file that can be read: {str(error)[:200]}") from error
    except FileNotFoundError as error:
        raise BadSource(f"nothing is there: {path}") from error
    except OSError as error:
        raise BadSource(f"{path.name} cannot be read: {fault(error)}") from error


class _Folder:
    def __init__(self, root: Path, limits: ZipLimits) -> None:
        self._root = root
        self.entries: dict[str, Entry] = {}

        def unreadable(error: OSError) -> None:
            raise error

        walk = Walk(root, False, unreadable, lambda: None)
        for path in walk.files(root):
            name = path.relative_to(root).as_posix()
            if path.is_file() and not path.is_symlink():
                self.entries[name] = Entry(name, path.stat().st_size)
            if len(self.entries) > limits.entries:
                raise BadSource(f"it has more than {limits.entries} files")
        self.links = len(walk.refused)

    def open(self, name: str) -> BinaryIO:
        """See Archive."""
        return (self._root / self.entries[name].name).open("rb")


class _Zip:
    def __init__(self, packed: zipfile.ZipFile, limits: ZipLimits) -> None:
        """Raises BadSource for one that is not to be unpacked."""
        self._packed = packed
        self.entries: dict[str, Entry] = {}
        self.links = 0
        infos = packed.infolist()
        if why := excess(infos, limits):
            raise BadSource(why)
        for info in infos:
            name = _checked(info)
            if stat.S_ISLNK(info.external_attr >> 16):
                self.links += 1
            elif not name.endswith("/"):
                if name in self.entries:
                    raise BadSource(f"its entry {_shown(name)} is there twice")
                self.entries[name] = Entry(info.filename, info.file_size)

    def open(self, name: str) -> BinaryIO:
        """See Archive. What is read is never more than the size that the entry declares."""
        opened: BinaryIO = self._packed.open(self.entries[name].name)  # type: ignore[assignment]  # ZipExtFile is one
        return opened


def _checked(info: zipfile.ZipInfo) -> str:
    """The entry's name, with forward slashes. Raises BadSource."""
    name, of_windows = info.orig_filename, info.create_system in WINDOWS
    slashed = name.replace("\\", "/")
    path = PurePosixPath(slashed)
    first = path.parts[0] if path.parts else ""
    drive = first.endswith(":") or (of_windows and first[1:2] == ":")
    if drive or path.is_absolute() or ".." in path.parts or "\0" in name:
        raise BadSource(f"its entry {_shown(name)} leads out of it")
    if slashed != name and not of_windows:
        raise BadSource(f"its entry {_shown(name)} has a backslash in its name: rename it, and pack the file anew")
    if info.flag_bits & ENCRYPTED:
        raise BadSource(f"its entry {_shown(name)} is encrypted")
    return slashed


def _shown(name: str) -> str:
    return repr(name[:200])
