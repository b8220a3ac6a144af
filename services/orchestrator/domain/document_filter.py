"""Which documents are read."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NumberRange:
    """Bounds for a number, of which all that are set hold."""

    gt: float | None = None
    gte: float | None = None
    lt: float | None = None
    lte: float | None = None


@dataclass(frozen=True, slots=True)
class Condition:
    """The field of a document ("document_id", "media_type" or "metadata.KEY") has one of the values; or, where there
    is a `range`, is a label with a number within it."""

    field: str
    any_of: tuple[str, ...] = ()
    range: NumberRange | None = None


@dataclass(frozen=True, slots=True)
class DocumentFilter:
    """Which documents are read: all of `must` hold, none of `must_not`, and one of `any`, where there are any."""

    must: tuple[Condition, ...] = ()
    must_not: tuple[Condition, ...] = ()
    any: "tuple[DocumentFilter, ...]" = ()


ALL = DocumentFilter()
