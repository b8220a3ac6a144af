"""Fields of administrators' requests. What is malformed raises InvalidArgument, which names the field."""

from collections.abc import Mapping, Sequence
from datetime import UTC
from typing import Any, TypeVar

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from services.runtime.errors import InvalidArgument
from services.runtime.numerals import numeral

T = TypeVar("T")
DEFAULT_PAGE = 50
LARGEST_PAGE = 1000
LONGEST_NUMBER = 15
ENDS = ("since", "until")


def storable(request: Message) -> None:
    """Check that every database can store the texts of the request: none has a character of code 0."""
    for field, value in request.ListFields():
        texts = [value] if isinstance(value, str) else value if field.is_repeated else ()
        if any(isinstance(text, str) and "\x00" in text for text in texts):
            raise InvalidArgument(f"{field.name} has a character of code 0", field=field.name)


def page_size(requested: int) -> int:
    """The most items of a page."""
    size = requested or DEFAULT_PAGE
    if not 1 <= size <= LARGEST_PAGE:
        raise InvalidArgument(f"page_size must be from 1 to {LARGEST_PAGE}, or 0", field="page_size")
    return size


def next_token(items: Sequence[Any], size: int) -> str:
    """The page token behind these items: the last one's id where the page is full."""
    return items[-1].id if len(items) == size else ""


def offset(token: str) -> int:
    """A page token that is a number."""
    number = numeral(token or "0", LONGEST_NUMBER)
    if number is None:
        raise InvalidArgument("page_token must be a next_page_token of this method", field="page_token")
    return number


def seconds(time: Timestamp, field: str) -> float:
    """Seconds since the epoch."""
    try:
        return time.ToDatetime(UTC).timestamp()
    except (ValueError, OverflowError) as error:
        raise InvalidArgument(f"{field} is no time", field=field) from error


def span(request: Any) -> tuple[float | None, float | None]:
    """`since` and `until` of a request, in seconds since the epoch; None for one that is not set."""
    begin, end = (seconds(getattr(request, name), name) if request.HasField(name) else None for name in ENDS)
    return begin, end


def enum(values: Mapping[T, int], number: int, field: str) -> T:
    """The domain's value for the number of an enum."""
    for value, known in values.items():
        if known == number:
            return value
    raise InvalidArgument(f"{field} must be set, to one that there is", field=field)
