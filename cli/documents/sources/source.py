"""A source of documents: what it yields, and what reading it came to."""

import hashlib
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Protocol

from cli.documents.missing import SearchedPath

FEW = 5
"""So many of what was skipped are named."""


class SourceDocument(Protocol):
    """A document to be: its id in the collection, where it came from, what it is, and what is said of it.

    `title` is empty for its own. `content_hash` is the SHA-256 of its bytes where that is known without reading them.
    """

    @property
    def id(self) -> str: ...
    @property
    def uri(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def media_type(self) -> str: ...
    @property
    def labels(self) -> Mapping[str, str]: ...
    @property
    def content_hash(self) -> str: ...

    def open(self) -> AbstractContextManager[BinaryIO]:
        """Its bytes, which can be read twice by `seek(0)`. Raises OSError."""
        ...


@dataclass(frozen=True, slots=True)
class FoundDocument:
    """A document of a source; `opener` opens its bytes, and raises OSError."""

    id: str
    uri: str
    media_type: str
    opener: Callable[[], AbstractContextManager[BinaryIO]]
    title: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    content_hash: str = ""

    def open(self) -> AbstractContextManager[BinaryIO]:
        """See SourceDocument."""
        return self.opener()


def sha256_of(source: BinaryIO) -> str:
    """Of all that is left to read of it, in lower-case hexadecimal."""
    digest = hashlib.sha256()
    while part := source.read(1 << 20):
        digest.update(part)
    return digest.hexdigest()


def held(data: bytes) -> Callable[[], AbstractContextManager[BinaryIO]]:
    """An opener of bytes in memory."""
    return lambda: BytesIO(data)


def filed(path: Path) -> Callable[[], AbstractContextManager[BinaryIO]]:
    """An opener of a file."""
    return lambda: path.open("rb")


@dataclass(kw_only=True)
class Skips:
    """What was not taken: `skipped` counts by reason, `passed_over` has the first names."""

    skipped: dict[str, int] = field(default_factory=dict)
    passed_over: dict[str, list[str]] = field(default_factory=dict)

    def skip(self, reason: str, name: str = "", count: int = 1) -> None:
        """Count something that is not taken."""
        self.skipped[reason] = self.skipped.get(reason, 0) + count
        names = self.passed_over.setdefault(reason, [])
        if name and len(names) < FEW:
            names.append(name)

    def add_skips(self, other: "Skips") -> None:
        """Count what another has skipped."""
        for reason, count in other.skipped.items():
            self.skip(reason, count=count)
            own = self.passed_over[reason]
            own += other.passed_over.get(reason, [])[: FEW - len(own)]


@dataclass
class SourceScan(Skips):
    """What a source came to. `failures` are documents, or parts of the source, that could not be read, each with why.

    `complete` is false where not all was seen: then nothing can be said of what is not there. `searched` are the
    places of this machine that were looked through.
    """

    documents: list[SourceDocument] = field(default_factory=list)
    failures: list[tuple[str, str]] = field(default_factory=list)
    complete: bool = True
    searched: list[SearchedPath] = field(default_factory=list)

    def fail(self, name: str, why: str) -> None:
        """Note what could not be read: the source was not seen whole."""
        self.failures.append((name, why))
        self.complete = False


class Source(Protocol):
    """Somewhere that documents come from.

    `known` has the SHA-256 of the documents that the collection has of it, by id; one that is known to be the same may
    be left unread. `workspace` is an empty folder for what is fetched; it is there until the documents were sent.
    Raises BadSource where the source is not there, or is not what it should be.
    """

    def scan(self, known: Mapping[str, str], workspace: Path) -> SourceScan: ...


class BadSource(Exception):
    """The source cannot be read at all; in words."""
