"""The file of a backup: a tar archive, whose last members are the manifest and its SHA-256.

A file that was cut off lacks them, and one that was changed does not agree with them. Files with holes are stored as
GNU tar stores them (sparse format 1.0), so that `tar` can read all of it.
"""

import hashlib
import io
import os
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from infra.backup import manifest
from infra.backup.errors import BadBackup
from infra.backup.manifest import Manifest, SavedFile
from infra.backup.sparse import extents, pieces

FIRST = "headworks-backup.txt"
MANIFEST, SUM = "manifest.json", "manifest.sha256"
DATA = "data/"
README = b"A backup of a Headworks data directory. `headworks restore FILE` checks it and puts it back.\n"
BLOCK = 512
MODE, FOLDER_MODE = 0o600, 0o700

OnBytes = Callable[[int], None]


class ArchiveWriter:
    """Adds files to an archive that is being written. `on_bytes` is called with how many bytes went in."""

    def __init__(self, out: IO[bytes], on_bytes: OnBytes) -> None:
        self._tar = tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT)  # noqa: SIM115 (closed by finish)
        self._on_bytes = on_bytes
        self.files: list[SavedFile] = []
        self.folders: list[str] = []
        self._add_bytes(FIRST, README)

    def add(self, file: Path, path: str) -> None:
        """Add a file, under its path in the data directory. Raises OSError, and EOFError where it shrinks meanwhile."""
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            size = os.fstat(descriptor).st_size
            parts = extents(descriptor, size)
            source = _Parts(descriptor, parts, self._on_bytes)
            whole = parts == [(0, size)] or not size
            info = _plain(DATA + path, size) if whole else _sparse(DATA + path, size, source)
            self._tar.addfile(info, source)
            self.files.append(SavedFile(path, size, parts if size else [], source.sha256))
        finally:
            os.close(descriptor)

    def add_folder(self, path: str) -> None:
        """Add a folder that would else not be there, as nothing is in it."""
        info = tarfile.TarInfo(DATA + path)
        info.type, info.mode = tarfile.DIRTYPE, FOLDER_MODE
        self._tar.addfile(info)
        self.folders.append(path)

    def finish(self, made: Manifest) -> None:
        """Add what makes the archive whole."""
        data = made.to_json()
        self._add_bytes(MANIFEST, data)
        self._add_bytes(SUM, hashlib.sha256(data).hexdigest().encode() + b"\n")
        self._tar.close()

    def _add_bytes(self, name: str, data: bytes) -> None:
        self._tar.addfile(_plain(name, len(data)), io.BytesIO(data))


class _Parts(io.RawIOBase):
    """The parts of a file one after the other; hashed as they are read."""

    def __init__(self, descriptor: int, parts: list[tuple[int, int]], on_bytes: OnBytes) -> None:
        self._hash = hashlib.sha256()
        self._on_bytes = on_bytes
        self._data = (data for offset, length in parts for data in pieces(descriptor, offset, length))
        self.parts = parts
        self._left = b""

    def put_before(self, head: bytes) -> None:
        self._left = head

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        """Raises EOFError where the file has shrunk."""
        while len(self._left) < size and (data := next(self._data, b"")):
            self._hash.update(data)
            self._on_bytes(len(data))
            self._left += data
        read, self._left = self._left[:size], self._left[size:]
        return read

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()


def _plain(name: str, size: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, MODE
    return info


def _sparse(name: str, size: int, source: _Parts) -> tarfile.TarInfo:
    """Its data begins with a map of the parts, in whole blocks."""
    parts = [*source.parts, (size, 0)]  # the last one says where the file ends
    numbers = [len(parts), *(number for part in parts for number in part)]
    head = "".join(f"{number}\n" for number in numbers).encode()
    head += bytes(-len(head) % BLOCK)
    source.put_before(head)
    # A short name: a long one would be a further header, which tarfile takes for the name.
    info = _plain(f"{DATA}GNUSparseFile.0/{hashlib.sha256(name.encode()).hexdigest()[:32]}",
                  len(head) + sum(length for _, length in source.parts))  # fmt: skip
    info.pax_headers = {
        "GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": name, "GNU.sparse.realsize": str(size),
    }  # fmt: skip
    return info


class ArchiveReader:
    """A whole archive. Raises BadBackup for what is none."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._source = file.open("rb")
        try:
            self._folders: set[str] = set()
            self._offsets = self._members()
            self.manifest = self._manifest()
        except BaseException:
            self._source.close()
            raise

    def __enter__(self) -> "ArchiveReader":
        return self

    def __exit__(self, *_: object) -> None:
        self._source.close()

    def data(self, saved: SavedFile) -> Iterator[tuple[int, bytes]]:
        """The data of a file, each piece with its offset in the file; hashed as it is read. Raises BadBackup at the
        end where it is not what was saved."""
        digest, at = hashlib.sha256(), self._offsets[DATA + saved.path][0]
        try:
            for offset, length in saved.extents:
                for data in pieces(self._source.fileno(), at, length):
                    digest.update(data)
                    yield offset, data
                    offset, at = offset + len(data), at + len(data)
        except EOFError:
            raise BadBackup(f"{self._file} ends within {saved.path}") from None
        if digest.hexdigest() != saved.sha256:
            raise BadBackup(f"{self._file} is damaged: {saved.path} is not what was saved")

    def _members(self) -> dict[str, tuple[int, int]]:
        """Where the data of each member is, and how long it is."""
        found: dict[str, tuple[int, int]] = {}
        try:
            with tarfile.open(fileobj=self._source, mode="r:") as tar:
                for member in tar:
                    if not found and member.name != FIRST:
                        break
                    if member.isdir() and member.name not in self._folders:
                        self._folders.add(member.name)
                        continue
                    if not member.isreg() or member.name in found:
                        raise BadBackup(f"{self._file} holds {member.name!r} in a way that no backup does")
                    found[member.name] = (member.offset_data, _stored(member))
        except (tarfile.TarError, OSError, EOFError, ValueError) as error:
            raise BadBackup(f"{self._file} is no whole backup: {error}") from error
        if not found:
            raise BadBackup(f"{self._file} is no backup of Headworks")
        return found

    def _manifest(self) -> Manifest:
        if MANIFEST not in self._offsets or SUM not in self._offsets:
            raise BadBackup(f"{self._file} is not whole: the backup was interrupted, or the file cut off")
        data = self._member(MANIFEST)
        if hashlib.sha256(data).hexdigest().encode() != self._member(SUM).strip():
            raise BadBackup(f"{self._file} is damaged: its manifest is not what was saved")
        made = manifest.from_json(data)
        named = {DATA + saved.path: saved.stored for saved in made.files}
        there = {name: length for name, (_, length) in self._offsets.items() if name.startswith(DATA)}
        folders = {DATA + path for path in made.folders}
        if named != there or len(named) != len(made.files) or folders != self._folders:
            raise BadBackup(f"{self._file} is damaged: it does not hold the files that its manifest names")
        return made

    def _member(self, name: str) -> bytes:
        offset, length = self._offsets[name]
        if length > manifest.MOST_BYTES:
            raise BadBackup(f"{self._file} has no manifest of a backup")
        try:
            return b"".join(pieces(self._source.fileno(), offset, length))
        except EOFError:
            raise BadBackup(f"{self._file} ends within {name}") from None


def _stored(member: tarfile.TarInfo) -> int:
    """How many bytes of a member are in the archive."""
    if not member.issparse():
        return member.size
    parts: list[tuple[int, int]] = member.sparse  # type: ignore[assignment]  # not bytes, as the stubs say
    return sum(length for _, length in parts)


def looks_like_one(file: Path) -> bool:
    """Whether a file begins as a backup does."""
    with file.open("rb") as source:
        return source.read(BLOCK).startswith(FIRST.encode())


def sync_folder(folder: Path) -> None:
    """Have the disk know the names in a folder, as it knows the files' contents."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
