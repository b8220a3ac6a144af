"""Protobuf messages of the mesh as dictionaries, and requests made of options."""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

PAGE = 1000
TIMESTAMP = "google.protobuf.Timestamp"


def list_all(method: Callable[..., Any], request: Any, field: str) -> Iterator[Any]:
    """What the method lists in `field`, page after page."""
    request.page_size = PAGE
    while True:
        page = method(request)
        yield from getattr(page, field)
        request.page_token = page.next_page_token
        if not request.page_token:
            return


def set_fields(request: Any, options: Mapping[str, Any]) -> Any:
    """The request with the options that are not empty."""
    for name, value in options.items():
        if isinstance(value, datetime):
            getattr(request, name).FromDatetime(value)
        elif value:
            setattr(request, name, value)
    return request


def as_dict(message: Any) -> dict[str, Any]:
    """The message's fields: times as text or None, enums as words, all else as it is."""
    return {field.name: _value(message, field) for field in message.DESCRIPTOR.fields}


def _value(message: Any, field: Any) -> Any:
    value = getattr(message, field.name)
    if field.message_type is not None:
        if field.is_repeated:
            return dict(value) if field.message_type.GetOptions().map_entry else [as_dict(item) for item in value]
        if not message.HasField(field.name):
            return None
        return value.ToJsonString() if field.message_type.full_name == TIMESTAMP else as_dict(value)
    if field.is_repeated:
        return list(value)
    if field.enum_type is not None:
        return enum_word(field.enum_type, value)
    return None if field.has_presence and not message.HasField(field.name) else value


def enum_word(enum: Any, value: int) -> str:
    """STATE_ACTIVE as "active"; empty for what is unspecified or unknown."""
    names = enum.values_by_number
    prefix = names[0].name.removesuffix("UNSPECIFIED")
    return str(names[value].name).removeprefix(prefix).lower() if value and value in names else ""
