"""The edge store's folders: ROOT/tenant/collection, each with a marker that makes it a collection.

The marker is written last and removed first, so that a folder half made or half removed is none. It names the shard of
each generation of the collection's index: the first one's is beside it, those of others are in folders of their own.
"""

import fcntl
import logging
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson

from services.retrieval.errors import CollectionBroken, CollectionExists, StoreLocked
from services.retrieval.model import CollectionKey
from services.retrieval.store.codec import tenant_name
from services.retrieval.store.engine import About
from services.runtime.embedders import MINILM
from services.runtime.errors import CollectionNotFound

log = logging.getLogger(__name__)

MARKER = "collection.json"
SHARD = "shard"
OPENING = "opening."
GENERATION = "generation"
_SHARD_NAME = re.compile(rf"{SHARD}\d*")
_SHARD_PATH = re.compile(rf"(?:{GENERATION}[1-9]\d*/)?{SHARD}\d*")
_GENERATIONS = "generations"
_MARKED_SEGMENTS = "segments"
_SEGMENT_FILE = "version.info"


@dataclass(frozen=True, slots=True)
class MarkedShard:
    """A generation in a collection's marker: its shard's folder, the points that its HNSW index was built for, the
    parts that the engine kept it in."""

    folder: Path
    indexed: int = 0
    segments: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Marked:
    """A collection's marker: what is on record of it, and the shard of each generation by number."""

    about: About
    shards: Mapping[int, MarkedShard]

    def with_shard(self, generation: int, folder: Path, indexed: int) -> "Marked":
        """The same where that generation's shard is now in that folder."""
        return replace(self, shards={**self.shards, generation: MarkedShard(folder, indexed, _segments(folder))})


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

    def make(self, key: CollectionKey) -> Path:
        """A new, empty folder for the collection's first shard. Raises CollectionExists."""
        folder = self.folder(key)
        if _is_marked(folder):
            raise CollectionExists(key.collection)
        _remove(folder)
        return self.make_shard(key)

    def make_shard(self, key: CollectionKey) -> Path:
        """A new, empty folder for the shard of the key's generation, which is not on record yet."""
        shard = self.home(key) / SHARD
        _remove(shard)
        shard.mkdir(parents=True)
        return shard

    def mark(self, key: CollectionKey, marked: Marked) -> None:
        """From here on the collection is there, and its shards are in those folders."""
        folder = self.folder(key)
        marker = folder / MARKER
        said = {
            "tenant": key.tenant,
            "max_chars": marked.about.max_chars,
            "create_time": marked.about.create_time,
            "generation": marked.about.generation,
            _GENERATIONS: {
                str(number): {
                    "embedder": marked.about.embedders[number],
                    "shard": shard.folder.relative_to(folder).as_posix(),
                    "indexed": shard.indexed,
                    _MARKED_SEGMENTS: list(shard.segments),
                }
                for number, shard in marked.shards.items()
            },
        }
        fresh = marker.with_suffix(".new")
        with fresh.open("wb") as file:
            file.write(orjson.dumps(said))
            file.flush()
            os.fsync(file.fileno())
        fresh.rename(marker)

    def find(self, key: CollectionKey) -> Marked:
        """The collection's marker.

        Raises CollectionNotFound, and CollectionBroken where the marker cannot be read.
        """
        folder = self.folder(key)
        if not _is_marked(folder):
            raise CollectionNotFound(key.collection)
        try:
            return self._marked(key, _said(folder))
        except (OSError, ValueError) as error:
            raise CollectionBroken(key.collection, "its marker cannot be read") from error

    def _marked(self, key: CollectionKey, said: Any) -> Marked:
        """What the marker of the collection says. Raises CollectionBroken."""
        folder = self.folder(key)
        try:
            generations = {int(number): entry for number, entry in _generations(said).items()}
            embedders = {number: str(entry["embedder"]) for number, entry in generations.items()}
            about = About(said["max_chars"], float(said["create_time"]), said.get("generation", 0), embedders)
            shards = {
                number: MarkedShard(folder / entry["shard"], entry["indexed"], entry.get(_MARKED_SEGMENTS, []))
                for number, entry in generations.items()
            }
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise CollectionBroken(key.collection, "its marker cannot be read") from error
        sound = all(
            _SHARD_NAME.fullmatch(shard.folder.name) and shard.folder.parent == self.home(key.at(number))
            for number, shard in shards.items()
        )
        if not sound or about.generation not in shards or not isinstance(about.max_chars, int):
            raise CollectionBroken(key.collection, "its marker makes no sense")
        return Marked(about, shards)

    def check_whole(self, key: CollectionKey, shard: MarkedShard) -> None:
        """Raises CollectionBroken where parts of a shard are gone: the engine takes one without its segments for an
        empty one."""
        if not all((shard.folder / _MARKED_SEGMENTS / name / _SEGMENT_FILE).is_file() for name in shard.segments):
            raise CollectionBroken(key.collection, "parts of its data are missing")

    def remove_spares(self, key: CollectionKey, shard: MarkedShard) -> None:
        """Remove copies of the shard of the key's generation that came to nothing."""
        for each in self._shards(key) if shard.folder.is_dir() else ():
            if each != shard.folder:
                shutil.rmtree(each, ignore_errors=True)

    def remove_generation(self, key: CollectionKey) -> None:
        """Remove what is left of a generation that is not on record any more."""
        for each in self._shards(key) if key.generation == 0 else [self.home(key)]:
            shutil.rmtree(each, ignore_errors=True)

    def _shards(self, key: CollectionKey) -> list[Path]:
        return [each for each in _folders_in(self.home(key)) if _SHARD_NAME.fullmatch(each.name)]

    def copy(self, shard: Path) -> Path:
        """A copy of a shard's folder, beside it."""
        number = int(shard.name.removeprefix(SHARD) or 0) + 1
        spare = shard.with_name(f"{SHARD}{number}")
        shutil.rmtree(spare, ignore_errors=True)
        shutil.copytree(shard, spare)
        return spare

    def unmark(self, key: CollectionKey) -> None:
        """From here on the collection is gone. Raises CollectionNotFound."""
        folder = self.folder(key)
        if not _is_marked(folder):
            raise CollectionNotFound(key.collection)
        _remove(folder / MARKER)

    def remove(self, key: CollectionKey) -> None:
        """Remove what is left of a collection that is gone."""
        try:
            _remove(self.folder(key))
        except OSError:
            log.exception("a collection is gone, but not all of its files", extra={"folder": str(self.folder(key))})

    def begin_opening(self, key: CollectionKey) -> None:
        """Note that the shard is about to be opened, which may end the process."""
        (self.home(key) / f"{OPENING}{self.openings(key) + 1}").touch()

    def end_opening(self, key: CollectionKey) -> None:
        """The process has outlived it."""
        for note in self.home(key).glob(f"{OPENING}*"):
            note.unlink()

    def openings(self, key: CollectionKey) -> int:
        """How many times in a row the process ended while it opened the shard."""
        return sum(1 for _ in self.home(key).glob(f"{OPENING}*"))

    def names(self, tenant: str) -> Sequence[str]:
        return sorted(folder.name for folder in _marked_below(self._root / tenant_name(tenant)))

    def all_marked(self) -> Mapping[CollectionKey, Marked | None]:
        """All collections of all tenants with their markers, None for one that cannot be read. A collection whose
        tenant cannot be known is logged, and left out."""
        found: dict[CollectionKey, Marked | None] = {}
        for folder in collection_folders(self._root):
            try:
                said = _said(folder)
            except (OSError, ValueError):
                said = None
            tenant = _tenant(folder, said)
            if tenant is None:
                log.error("a collection's marker cannot be read", extra={"folder": str(folder)})
                continue
            key = CollectionKey(tenant, folder.name)
            try:
                found[key] = self._marked(key, said)
            except CollectionBroken:
                found[key] = None
        return found

    def release(self) -> None:
        self._lock.close()

    def folder(self, key: CollectionKey) -> Path:
        """Where the collection is, or would be."""
        return self._root / tenant_name(key.tenant) / key.collection

    def home(self, key: CollectionKey) -> Path:
        """Where the shard of the key's generation is, and what is noted of it."""
        folder = self.folder(key)
        return folder / f"{GENERATION}{key.generation}" if key.generation else folder


def collection_folders(root: Path) -> list[Path]:
    """The folders of all collections below a store's root."""
    return sorted(folder for tenant in _folders_in(root) for folder in _marked_below(tenant))


def collection_files(folder: Path) -> list[Path]:
    """The files that make a collection, and the folders with nothing in them: its marker, and what is in the shards
    that it names. Of one whose marker cannot be read, all that is there. Raises FileNotFoundError where it is no
    collection any more."""
    marker = folder / MARKER
    try:
        shards = [entry["shard"] for entry in _generations(orjson.loads(marker.read_bytes())).values()]
        within = [folder / shard for shard in shards] if all(map(_SHARD_PATH.fullmatch, shards)) else [folder]
    except (ValueError, TypeError, KeyError, AttributeError):
        within = [folder]
    below = (path for each in within for path in each.rglob("*") if path != marker and not path.is_symlink())
    return [marker, *sorted(path for path in below if path.is_file() or (path.is_dir() and not any(path.iterdir())))]


def _generations(said: dict[str, Any]) -> dict[str, Any]:
    """The generations in a marker by their number. Older ones have a single one, and are of one embedder."""
    if _GENERATIONS in said:
        generations: dict[str, Any] = said[_GENERATIONS]
        return generations
    return {"0": {"embedder": MINILM.name, **said}}


def _is_marked(folder: Path) -> bool:
    """Whether the folder is a collection. One that cannot be looked into is taken for one."""
    try:
        (folder / MARKER).lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True


def _marked_below(tenant: Path) -> Iterator[Path]:
    return (folder for folder in _folders_in(tenant) if _is_marked(folder))


def _folders_in(folder: Path) -> list[Path]:
    """The folders in a folder; none where it cannot be read, which is logged."""
    try:
        return [Path(each.path) for each in os.scandir(folder) if each.is_dir() and not each.name.startswith(".")]
    except FileNotFoundError:
        return []
    except OSError:
        log.exception("a folder of the store cannot be read", extra={"folder": str(folder)})
        return []


def _said(folder: Path) -> Any:
    """A marker as it is written. Raises OSError and ValueError."""
    return orjson.loads((folder / MARKER).read_bytes())


def _tenant(folder: Path, said: Any) -> str | None:
    """Whose a collection's folder is, as its marker says; or else by its path, where a plain tenant's name is in it."""
    name = folder.parent.name
    try:
        tenant = said["tenant"]
        if tenant_name(tenant) == name:
            return str(tenant)
    except (ValueError, TypeError, KeyError, AttributeError):
        pass
    return name if tenant_name(name) == name else None


def _segments(shard: Path) -> list[str]:
    """The parts that the engine keeps a shard in, which only indexing changes."""
    return sorted(path.parent.name for path in shard.glob(f"{_MARKED_SEGMENTS}/*/{_SEGMENT_FILE}"))


def _remove(path: Path) -> None:
    """Remove a file or a folder, whatever the modes of it and of what is within. Raises OSError where it cannot be."""
    with suppress(FileNotFoundError):
        if ~path.parent.stat().st_mode & 0o700:
            _opened(path.parent)
        if path.is_symlink() or not path.is_dir():
            path.unlink()
            return
        for folder, _, _ in os.walk(_opened(path)):
            for each in os.scandir(folder):
                if each.is_dir(follow_symlinks=False):
                    _opened(Path(each.path))
        shutil.rmtree(path)


def _opened(folder: Path) -> Path:
    folder.chmod(0o700)
    return folder
