"""The edge store's folders: ROOT/tenant/collection, each with a marker that makes it a collection.

The marker is written last and removed first, so that a folder half made or half removed is none.
"""

import fcntl
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

from services.retrieval.errors import CollectionExists, StoreLocked
from services.retrieval.model import Key
from services.retrieval.store.codec import tenant_name
from services.retrieval.store.engine import About
from services.runtime.errors import CollectionNotFound

MARKER = "collection.json"
SHARD = "shard"


@dataclass(frozen=True, slots=True)
class Marked:
    """A collection's marker: what was said of it, its shard's folder, the points that its index was built for."""

    about: About
    folder: Path
    indexed: int


class Folders:
    """Owns ROOT until `release`. Raises StoreLocked where another process owns it."""

    def __init__(self, root: Path) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self._root = root
        self._lock = (root / ".lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._lock.close()
            raise StoreLocked(f"another process uses the store in {root}") from error

    @property
    def owned(self) -> bool:
        return not self._lock.closed

    def make(self, key: Key) -> Path:
        """A new, empty folder for the collection's shard. Raises CollectionExists."""
        folder = self._folder(key)
        if (folder / MARKER).exists():
            raise CollectionExists(key.collection)
        shutil.rmtree(folder, ignore_errors=True)
        (folder / SHARD).mkdir(parents=True)
        return folder / SHARD

    def mark(self, key: Key, marked: Marked) -> None:
        """From here on the collection is there, and its shard is in that folder."""
        marker = self._folder(key) / MARKER
        said = {
            "tenant": key.tenant,
            "max_chars": marked.about.max_chars,
            "create_time": marked.about.create_time,
            "shard": marked.folder.name,
            "indexed": marked.indexed,
        }
        fresh = marker.with_suffix(".new")
        with fresh.open("wb") as file:
            file.write(orjson.dumps(said))
            file.flush()
            os.fsync(file.fileno())
        fresh.rename(marker)

    def find(self, key: Key) -> Marked:
        """The collection's marker. Removes copies of its shard that came to nothing. Raises CollectionNotFound."""
        folder = self._folder(key)
        try:
            said = orjson.loads((folder / MARKER).read_bytes())
        except FileNotFoundError:
            raise CollectionNotFound(key.collection) from None
        for each in folder.iterdir():
            if each.is_dir() and each.name != said["shard"]:
                shutil.rmtree(each, ignore_errors=True)
        return Marked(About(said["max_chars"], said["create_time"]), folder / said["shard"], said["indexed"])

    def copy(self, shard: Path) -> Path:
        """A copy of a shard's folder, beside it."""
        number = int(shard.name.removeprefix(SHARD) or 0) + 1
        spare = shard.with_name(f"{SHARD}{number}")
        shutil.rmtree(spare, ignore_errors=True)
        shutil.copytree(shard, spare)
        return spare

    def unmark(self, key: Key) -> None:
        """From here on the collection is gone. Raises CollectionNotFound."""
        try:
            (self._folder(key) / MARKER).unlink()
        except FileNotFoundError:
            raise CollectionNotFound(key.collection) from None

    def remove(self, key: Key) -> None:
        """Remove what is left of a collection that is gone."""
        shutil.rmtree(self._folder(key), ignore_errors=True)

    def names(self, tenant: str) -> Sequence[str]:
        return sorted(marker.parent.name for marker in (self._root / tenant_name(tenant)).glob(f"*/{MARKER}"))

    def keys(self) -> Sequence[Key]:
        """All collections of all tenants."""
        markers = sorted(self._root.glob(f"*/*/{MARKER}"))
        return [Key(orjson.loads(marker.read_bytes())["tenant"], marker.parent.name) for marker in markers]

    def release(self) -> None:
        self._lock.close()

    def _folder(self, key: Key) -> Path:
        return self._root / tenant_name(key.tenant) / key.collection
