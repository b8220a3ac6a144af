"""What is remembered of the pages that were fetched, so that a page that has not changed is not fetched again.

It is a cache: without it everything is fetched once more.
"""

import hashlib
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import orjson
from pydantic import TypeAdapter, ValidationError

LARGEST = 256 << 20


@dataclass(frozen=True, slots=True)
class SeenPage:
    """A page as it was last: its validators, the SHA-256 of the document made of it, its media type, and where it led,
    as far as was looked."""

    etag: str
    modified: str
    content_hash: str
    media_type: str
    links: tuple[str, ...] = ()
    depth: int = 0
    index: bool = True


_PAGES = TypeAdapter(dict[str, SeenPage])


@dataclass
class SeenPages:
    """The pages of one source, by URL."""

    path: Path
    pages: dict[str, SeenPage] = field(default_factory=dict)

    @classmethod
    def of(cls, source: str, folder: Path | None = None) -> "SeenPages":
        """Those of a source, by what names it; none where there is no file of them, or not a good one."""
        name = hashlib.sha256(source.encode()).hexdigest()[:32]
        path = (folder or cache_folder()) / f"{name}.json"
        with suppress(OSError, ValidationError, ValueError):
            if path.stat().st_size <= LARGEST:
                return cls(path, _PAGES.validate_json(path.read_bytes()))
        return cls(path)

    def store(self, pages: Mapping[str, SeenPage]) -> None:
        """Keep these, and no others. Raises OSError."""
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        part = self.path.with_name(f".{self.path.name}.{os.getpid()}.part")
        try:
            with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
                out.write(orjson.dumps({url: asdict(page) for url, page in pages.items()}))
            part.replace(self.path)
        finally:
            part.unlink(missing_ok=True)


def cache_folder() -> Path:
    """As the XDG Base Directory Specification has it."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if base.startswith("/") else Path.home() / ".cache") / "headworks" / "web"
