"""Which documents are read."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Condition:
    """The field of a document ("document_id", "media_type" or "metadata.KEY") has one of the values."""

    field: str
    any_of: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DocumentFilter:
    """Which documents are read: all of `must` hold and none of `must_not`."""

    must: tuple[Condition, ...] = ()
    must_not: tuple[Condition, ...] = ()


ALL = DocumentFilter()
