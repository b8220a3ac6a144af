"""What goes through an ingestion: the client's messages and the service's events."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Open:
    """Begins the stream. At its end `delete_missing` deletes what was not named, `delete_gone` what was named gone."""

    collection: str
    create_collection: bool = False
    delete_missing: bool = False
    delete_gone: bool = False


@dataclass(frozen=True, slots=True)
class DocumentHead:
    """Begins a document. Empty fields are unknown; without `access_groups`, which are in order, everybody may read
    it. `name` is its title where neither the caller nor its content says one."""

    id: str
    uri: str = ""
    title: str = ""
    media_type: str = ""
    content_hash: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    access_groups: tuple[str, ...] = ()
    name: str = ""


@dataclass(frozen=True, slots=True)
class DocumentChunk:
    """The next bytes of a document."""

    data: bytes


@dataclass(frozen=True, slots=True)
class End:
    """Ends a document's bytes."""


@dataclass(frozen=True, slots=True)
class Gone:
    """A document to delete, unless it was written since `update_time`."""

    document_id: str
    update_time: datetime


Message: TypeAlias = Open | DocumentHead | DocumentChunk | End | Gone


class DocumentOutcome(Enum):
    """What became of a document."""

    CREATED = "created"
    REPLACED = "replaced"
    UNCHANGED = "unchanged"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Result:
    """One document is done. `encoding` of its text, where it was read as one; `warnings`: what of it was not read."""

    document_id: str
    outcome: DocumentOutcome
    passage_count: int = 0
    error_reason: str = ""
    error_message: str = ""
    encoding: str = ""
    warnings: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class IngestProgress:
    """How many of a document's passages are embedded."""

    document_id: str
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class IngestSummary:
    """The whole ingestion: documents by outcome, documents deleted, passages written."""

    outcomes: Mapping[DocumentOutcome, int]
    deleted: int
    passages: int


Event: TypeAlias = Result | IngestProgress | IngestSummary
