"""Messages from JSON, by proto3's mapping, with errors that name the field and say what it must be."""

from collections.abc import Iterable
from typing import Any

from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from services.runtime.errors import InvalidArgument
from services.runtime.spelling import nearest

WELL_KNOWN = "google.protobuf"
_FORMS = {
    "google.protobuf.Timestamp": 'a time, such as "2026-01-31T12:00:00Z"',
    "google.protobuf.Duration": 'a number of seconds with an s, such as "3.5s"',
}
_SINGLE = {
    FieldDescriptor.CPPTYPE_STRING: "a string",
    FieldDescriptor.CPPTYPE_BOOL: "true or false",
    FieldDescriptor.CPPTYPE_FLOAT: "a number",
    FieldDescriptor.CPPTYPE_DOUBLE: "a number",
    FieldDescriptor.CPPTYPE_MESSAGE: "an object",
}
# What protobuf raises for a value that a field cannot have.
_FAULTS = (json_format.ParseError, AttributeError, TypeError, ValueError)
_UNSIGNED = (FieldDescriptor.CPPTYPE_UINT32, FieldDescriptor.CPPTYPE_UINT64)


def fill(message: Message, body: dict[str, Any], within: str = "") -> None:
    """Put the fields of a JSON object, which is found at `within`, into the message. Raises InvalidArgument, which
    names the field, for one that has no place or no such value: what it was to say would go unsaid."""
    try:
        json_format.ParseDict(body, message)
    except _FAULTS as error:
        _check_fields(body, message.DESCRIPTOR, within)
        place = within or "the request"
        raise InvalidArgument(f"{place} is no {message.DESCRIPTOR.full_name}: {error}", field=within) from error


def unknown(place: str, name: str, known: Iterable[str]) -> InvalidArgument:
    """The error for a field that is not there, at `place`; `known` are those that are."""
    known, name = sorted(known), name[:100]
    near = next((one for one in known if one.startswith(name)), "") or nearest(name, known)
    there = f"did you mean {near}?" if near else f"there are {', '.join(known)}" if known else "there are none"
    return InvalidArgument(f"there is no field {place[:100]!r}; {there}", field=place[:100])


def _check_fields(body: dict[str, Any], form: Any, within: str) -> None:
    there = {**form.fields_by_camelcase_name, **form.fields_by_name}
    before = f"{within}." if within else ""
    for name, value in body.items():
        if name not in there:
            raise unknown(f"{before}{name}", name, form.fields_by_name)
        if value is not None:
            _check(value, there[name], f"{before}{name}")


def _check(value: Any, field: FieldDescriptor, place: str) -> None:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        if not isinstance(value, dict):
            raise _wrong(place, "an object")
        for key, each in value.items():
            _check_single(each, field.message_type.fields_by_name["value"], f"{place}.{key[:100]}")
    elif field.is_repeated:
        if not isinstance(value, list):
            raise _wrong(place, "a list")
        for at, each in enumerate(value):
            _check_single(each, field, f"{place}[{at}]")
    else:
        _check_single(value, field, place)


def _check_single(value: Any, field: FieldDescriptor, place: str) -> None:
    form = field.message_type
    if form is not None and form.file.package != WELL_KNOWN:
        if not isinstance(value, dict):
            raise _wrong(place, "an object")
        _check_fields(value, form, place)
    elif not _reads(value, field):
        raise _wrong(place, _wanted(field, value))


def _reads(value: Any, field: FieldDescriptor) -> bool:
    """Whether a field may have the value, as protobuf itself reads it."""
    holder, given = field.message_type, value
    if holder is None:
        holder, given = field.containing_type, {field.name: [value] if field.is_repeated else value}
    assert holder is not None  # noqa: S101 (only extensions have none, and JSON names no extension)
    try:
        json_format.ParseDict(given, GetMessageClass(holder)())
    except _FAULTS:
        return False
    return value is not None


def _wanted(field: FieldDescriptor, value: Any) -> str:
    """What the field must have in the place of this value, in words."""
    if field.enum_type is not None:
        return f"one of {', '.join(field.enum_type.values_by_name)}; it is {str(value)[:50]!r}"
    if field.message_type is not None:
        return _FORMS.get(field.message_type.full_name, f"a {field.message_type.full_name} in JSON")
    if field.type == FieldDescriptor.TYPE_BYTES:
        return "a string in base64"
    whole = "a whole number, not below 0" if field.cpp_type in _UNSIGNED else "a whole number"
    return _SINGLE.get(field.cpp_type, whole)


def _wrong(place: str, wanted: str) -> InvalidArgument:
    return InvalidArgument(f"{place} must be {wanted}", field=place[:100])
