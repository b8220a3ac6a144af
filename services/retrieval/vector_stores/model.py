"""What a collection is as a vector store, and a file within it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TypeAlias

from services.retrieval.model import Groups, SearchResult
from services.runtime.labels import number_text

Attribute: TypeAlias = str | float | bool


class FileStatus(StrEnum):
    """How a file in a vector store stands."""

    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class FileCounts:
    """Files by how they stand, and the bytes of those that are completed."""

    counts: Mapping[FileStatus, int] = field(default_factory=dict)
    usage_bytes: int = 0

    def of(self, status: FileStatus) -> int:
        return self.counts.get(status, 0)


@dataclass(frozen=True, slots=True)
class StoreRecord:
    """What people call a vector store, and what they noted of it."""

    name: str
    notes: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class StoreOverview:
    """A collection as a vector store."""

    id: str
    record: StoreRecord
    create_time: datetime | None
    files: FileCounts


@dataclass(frozen=True, slots=True)
class AddedFile:
    """A file to put into a vector store."""

    file_id: str
    attributes: Mapping[str, Attribute]
    access_groups: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AttachedFile:
    """A file in a vector store; the id of its document is the file's. `created`: seconds since the epoch."""

    tenant: str
    store: str
    file: str
    filename: str
    size: int
    attributes: Mapping[str, Attribute]
    access_groups: tuple[str, ...]
    caller_groups: Groups
    created: float
    batch: str = ""
    status: FileStatus = FileStatus.IN_PROGRESS
    error_reason: str = ""
    error_message: str = ""
    attempts: int = 0
    due: float = 0.0


@dataclass(frozen=True, slots=True)
class FileBatch:
    """Files that were put into a vector store together."""

    id: str
    store: str
    created: float
    cancelled: bool
    files: FileCounts


@dataclass(frozen=True, slots=True)
class Source:
    """What a hit is from: a file's name and attributes, or a document's title and metadata."""

    filename: str
    attributes: Mapping[str, Attribute]


@dataclass(frozen=True, slots=True)
class StoreHits:
    """The hits of a search, and by document what they are from."""

    result: SearchResult
    sources: Mapping[str, Source]


@dataclass(frozen=True, slots=True)
class AddedFiles:
    """Files that were put into a vector store, and their batch, if they are one."""

    files: Sequence[AttachedFile]
    batch: FileBatch | None


def metadata_of(attributes: Mapping[str, Attribute]) -> dict[str, str]:
    """Attributes as the metadata of a document."""
    return {key: text_of(value) for key, value in attributes.items()}


def text_of(value: Attribute) -> str:
    """A value as it is in metadata: a number in its shortest form, "true" or "false"."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return number_text(value)
