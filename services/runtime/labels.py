"""Labels of documents, which searches filter by: their limits, and how the fields of a file become labels."""

from collections.abc import Mapping
from datetime import date, datetime

MOST = 32
LONGEST_KEY = 64
LONGEST_VALUE = 1024
WHOLE = 1 << 53
# What filters know beside labels, and what stands before a label's key in a condition.
FIELDS = ("document_id", "media_type")
LABEL = "metadata."
RESERVED = "headworks."
"""How labels begin that Headworks gives itself."""


def fault(labels: Mapping[str, str]) -> str:
    """What is wrong with the labels; empty where they are within the limits."""
    if len(labels) > MOST:
        return f"a document has at most {MOST} labels"
    return next((wrong for key, value in labels.items() if (wrong := _fault(key, value))), "")


def _fault(key: str, value: str) -> str:
    if not 1 <= len(key) <= LONGEST_KEY or not key.isprintable():
        return f"a label's key has 1 to {LONGEST_KEY} printable characters"
    if len(value) > LONGEST_VALUE:
        return f"the value of label {key!r} has more than {LONGEST_VALUE} characters"
    return ""


def field_of(key: str) -> str:
    """The field of a filter that a key stands for: one of FIELDS, or the label of that name."""
    return key if key in FIELDS or key.startswith(LABEL) else LABEL + key


def is_field(field: str) -> bool:
    """Whether filters know a field of this name."""
    return field in FIELDS or (field.startswith(LABEL) and field != LABEL)


def value_of(field: object) -> str | None:
    """A field of a file as a label's value: a list of plain values with ", " between; None for what is no label."""
    match field:
        case bool():
            return "true" if field else "false"
        case str():
            return field.strip() or None
        case int() | float():
            return str(field)
        case datetime() | date():
            return field.isoformat()
        case list():
            values = [value_of(each) for each in field if not isinstance(each, list)]
            return ", ".join(value for value in values if value) or None
        case _:
            return None


def number_text(number: float) -> str:
    """A finite number as a label has it: a whole one below WHOLE without a point, else the shortest form."""
    return str(int(number)) if number == int(number) and abs(number) < WHOLE else repr(float(number))


def filled(labels: Mapping[str, str], others: Mapping[str, str]) -> dict[str, str]:
    """The labels, and of the others those with another key, as many as there is room for."""
    missing = [(key, value) for key, value in others.items() if key not in labels and not _fault(key, value)]
    return {**labels, **dict(missing[: max(0, MOST - len(labels))])}
