"""What a backup holds: each file with its size, the parts of it that are kept, and their SHA-256."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import PurePosixPath
from typing import Any

from infra.backup.errors import BadBackup
from infra.backup.sparse import Extents
from services.runtime.data_format import DataFormat

VERSION = 1
MOST_BYTES = 256 << 20
"""Of the manifest itself."""


@dataclass(frozen=True, slots=True)
class SavedFile:
    """`path` is relative to the data directory; `sha256` is of the parts in `extents`, one after the other."""

    path: str
    size: int
    extents: Extents
    sha256: str

    @property
    def stored(self) -> int:
        """The bytes that are kept of it."""
        return sum(length for _, length in self.extents)


@dataclass(frozen=True, slots=True)
class Manifest:
    """`data` is the format of the data, `folders` those that are empty. `elsewhere` says what is not in the backup, and
    who backs it up."""

    data: DataFormat
    time: str
    files: Sequence[SavedFile]
    folders: Sequence[str] = ()
    collections: int = 0
    elsewhere: Sequence[str] = field(default_factory=tuple)

    def to_json(self) -> bytes:
        values = {
            "version": VERSION,
            "format": self.data.number,
            "headworks": self.data.product,
            "time": self.time,
            "collections": self.collections,
            "elsewhere": list(self.elsewhere),
            "folders": list(self.folders),
            "files": [asdict(file) for file in self.files],
        }
        return json.dumps(values, indent=1).encode()


def from_json(data: bytes) -> Manifest:
    """Raises BadBackup."""
    try:
        values = json.loads(data)
        if values["version"] > VERSION:
            raise BadBackup(
                f"the backup was made by Headworks {values['headworks']} in a form that this version does not know: "
                "restore it with that version or a later one"
            )
        files = [_file(one) for one in values["files"]]
        found = DataFormat(int(values["format"]), str(values["headworks"]))
        folders = [_within(path) for path in values["folders"]]
        return Manifest(
            found, str(values["time"]), files, folders, int(values["collections"]), tuple(values["elsewhere"])
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise BadBackup(f"the backup's manifest makes no sense: {type(error).__name__}: {error}") from error


def _file(values: dict[str, Any]) -> SavedFile:
    """Raises ValueError for a path that leads out of the data directory, and for parts that are none of the file."""
    path = _within(values["path"])
    size, at = int(values["size"]), 0
    parts = [(int(offset), int(length)) for offset, length in values["extents"]]
    for offset, length in parts:
        if offset < at or length <= 0 or offset + length > size:
            raise ValueError(f"the parts of {path}")
        at = offset + length
    return SavedFile(path, size, parts, str(values["sha256"]))


def _within(name: str) -> str:
    """Raises ValueError for a path that leads out of the data directory, or that is not written in the one way."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or name != str(path) or name == ".":
        raise ValueError(f"the path {name!r}")
    return name
