"""The edge store's folders: ROOT/tenant/collection, each with a marker that makes it a collection.

The marker is written last and removed first, so that a folder half made or half removed is none.
"""

import fcntl
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import orjson

from services.retrieval.errors import CollectionExists, StoreLocked
from services.retrieval.model import Key
from services.retrieval.store.codec import tenant_name
from services.retrieval.store.engine import About
from services.runtime.errors import CollectionNotFound

MARKER = "collection.json"
SHARD = "shard"


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

    def mark(self, key: Key, about: About) -> None:
        """From here on the collection is there."""
        marker = self._folder(key) / MARKER
        fresh = marker.with_suffix(".new")
        with fresh.open("wb") as file:
            file.write(
                orjson.dumps({"tenant": key.tenant, "max_chars": about.max_chars, "create_time": about.create_time})
            )
            file.flush()
            os.fsync(file.fileno())
        fresh.rename(marker)

    def find(self, key: Key) -> tuple[About, Path]:
        """What was said of the collection, and its shard's folder. Raises CollectionNotFound."""
        folder = self._folder(key)
        try:
            said = orjson.loads((folder / MARKER).read_bytes())
        except FileNotFoundError:
            raise CollectionNotFound(key.collection) from None
        return About(said["max_chars"], said["create_time"]), folder / SHARD

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
