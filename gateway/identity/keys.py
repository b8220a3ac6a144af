"""The operator's API keys: a file, in which only their hashes are stored."""

import hashlib
import hmac
import logging
import time
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from services.runtime.identity import Identity

log = logging.getLogger(__name__)

PREFIX = "hw_"
PREFIX_LENGTH = 11
LOOK_EVERY = 1.0


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A key as it is stored. `prefix` is its first PREFIX_LENGTH characters; `sha256` is hexadecimal.

    The secret is random and long, so that one round of SHA-256 is enough.
    """

    id: str
    prefix: str
    sha256: str
    identity: Identity


class _Entry(BaseModel):
    """A key in the file."""

    model_config = ConfigDict(strict=True, hide_input_in_errors=True)

    id: str
    prefix: str
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    tenant: str = Field(min_length=1)
    subject: str
    scopes: list[str]
    groups: list[str] = []


class _File(BaseModel):
    model_config = ConfigDict(hide_input_in_errors=True)

    keys: list[_Entry]


class KeyRing:
    """The keys of a JSON file, read again within a second of its change.

    A file that cannot be read leaves the last good keys in force.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: tuple[int, int] = (0, 0)
        self._looked = 0.0
        self._loads = 0
        self._keys: dict[str, list[StoredKey]] = {}
        self._load()

    @property
    def tenants(self) -> set[str]:
        """Those that have a key in it."""
        return {key.identity.tenant for alike in self._keys.values() for key in alike}

    @property
    def loads(self) -> int:
        """Grows with every change of the file."""
        self._refresh()
        return self._loads

    def find(self, key: str) -> Identity | None:
        """Whose key it is; None for nobody's."""
        self._refresh()
        alike = self._keys.get(key[:PREFIX_LENGTH])
        if alike is None:
            return None
        digest = hashlib.sha256(key.encode()).hexdigest()
        return next((one.identity for one in alike if hmac.compare_digest(one.sha256, digest)), None)

    def by_id(self, key_id: str) -> Identity | None:
        """Whose key has this id; None for none."""
        self._refresh()
        return next((one.identity for alike in self._keys.values() for one in alike if one.id == key_id), None)

    def _refresh(self) -> None:
        now = time.monotonic()
        if now - self._looked < LOOK_EVERY:
            return
        self._looked = now
        try:
            if self._stat() != self._stamp:
                self._load()
        except (OSError, ValueError):
            log.exception("API keys not read; the last good ones stay in force", extra={"file": str(self._path)})

    def _stat(self) -> tuple[int, int]:
        found = self._path.stat()
        return found.st_mtime_ns, found.st_ino

    def _load(self) -> None:
        stamp = self._stat()
        keys: dict[str, list[StoredKey]] = {}
        try:
            file = _File.model_validate_json(self._path.read_bytes())
        except ValidationError as error:
            raise ValueError(
                f"{self._path} is no list of API keys: {error.errors(include_url=False)[0]['msg']}"
            ) from error
        for entry in file.keys:
            groups = tuple(sorted(set(entry.groups)))
            identity = Identity(entry.tenant, entry.subject, frozenset(entry.scopes), key=entry.id, groups=groups)
            stored = StoredKey(entry.id, entry.prefix, entry.sha256, identity)
            keys.setdefault(stored.prefix, []).append(stored)
        self._keys, self._stamp = keys, stamp
        self._loads += 1
