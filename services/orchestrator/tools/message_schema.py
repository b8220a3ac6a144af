"""The JSON schema of a protobuf message, by proto3's JSON mapping.

Comments are not part of what reflection gives, so fields are described by their names and types alone.
"""

from typing import Any

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

Schema = dict[str, Any]
DIALECT = "#/$defs/"
_32, _U32 = (-(1 << 31), (1 << 31) - 1), (0, (1 << 32) - 1)
F = FieldDescriptor
INT32 = {F.TYPE_INT32: _32, F.TYPE_SINT32: _32, F.TYPE_SFIXED32: _32, F.TYPE_UINT32: _U32, F.TYPE_FIXED32: _U32}
INT64 = (F.TYPE_INT64, F.TYPE_SINT64, F.TYPE_SFIXED64)
UINT64 = (F.TYPE_UINT64, F.TYPE_FIXED64)

SIGNED: Schema = {"type": ["integer", "string"], "pattern": r"^-?\d{1,19}$"}
UNSIGNED: Schema = {"type": ["integer", "string"], "pattern": r"^\d{1,20}$", "minimum": 0}
BYTES: Schema = {"type": "string", "contentEncoding": "base64", "description": "base64"}
NUMBER: Schema = {"type": "number"}

WELL_KNOWN: dict[str, Schema] = {
    "google.protobuf.Timestamp": {
        "type": "string", "format": "date-time", "description": "RFC 3339, such as 2030-01-31T12:00:00Z",
    },
    "google.protobuf.Duration": {
        "type": "string", "pattern": r"^-?\d+(\.\d{1,9})?s$", "description": "seconds, such as 1.5s",
    },
    "google.protobuf.FieldMask": {"type": "string", "description": "names of fields, with commas between them"},
    "google.protobuf.Empty": {"type": "object", "additionalProperties": False},
    "google.protobuf.Struct": {"type": "object"},
    "google.protobuf.Value": {},
    "google.protobuf.ListValue": {"type": "array"},
    "google.protobuf.Any": {
        "type": "object", "properties": {"@type": {"type": "string"}}, "required": ["@type"],
        "description": "any message: its type's URL as @type, and its fields",
    },
    "google.protobuf.DoubleValue": NUMBER,
    "google.protobuf.FloatValue": NUMBER,
    "google.protobuf.Int64Value": SIGNED,
    "google.protobuf.UInt64Value": UNSIGNED,
    "google.protobuf.Int32Value": {"type": "integer", "minimum": _32[0], "maximum": _32[1]},
    "google.protobuf.UInt32Value": {"type": "integer", "minimum": 0, "maximum": _U32[1]},
    "google.protobuf.BoolValue": {"type": "boolean"},
    "google.protobuf.StringValue": {"type": "string"},
    "google.protobuf.BytesValue": BYTES,
}  # fmt: skip


def of_message(message: Descriptor) -> Schema:
    """The schema of the message as an object; the messages in it are in $defs, by their full names."""
    definitions: dict[str, Schema] = {}
    schema = dict(WELL_KNOWN.get(message.full_name) or _object(message, definitions))
    if definitions:
        schema["$defs"] = definitions
    return schema


def _object(message: Descriptor, definitions: dict[str, Schema]) -> Schema:
    schema: Schema = {
        "type": "object",
        "properties": {field.json_name: _field(field, definitions) for field in message.fields},
        "additionalProperties": False,
    }
    required = [field.json_name for field in message.fields if field.is_required]
    if required:
        schema["required"] = required
    choices = [
        [field.json_name for field in one.fields]
        for one in message.oneofs
        if len(one.fields) > 1 or not one.name.startswith("_")  # an optional field is a oneof of its own
    ]
    if choices:
        schema["description"] = " ".join(f"At most one of {', '.join(names)}." for names in choices)
    return schema


def _field(field: FieldDescriptor, definitions: dict[str, Schema]) -> Schema:
    kind = field.message_type
    if kind is not None and kind.GetOptions().map_entry:
        return {"type": "object", "additionalProperties": _single(kind.fields_by_name["value"], definitions)}
    single = _single(field, definitions)
    return {"type": "array", "items": single} if field.is_repeated else single


def _single(field: FieldDescriptor, definitions: dict[str, Schema]) -> Schema:
    kind = field.type
    if field.message_type is not None:
        return _message(field.message_type, definitions)
    if field.enum_type is not None:
        return _enum(field.enum_type)
    if kind in INT32:
        return {"type": "integer", "minimum": INT32[kind][0], "maximum": INT32[kind][1]}
    if kind in INT64:
        return dict(SIGNED)
    if kind in UINT64:
        return dict(UNSIGNED)
    if kind == F.TYPE_BYTES:
        return dict(BYTES)
    if kind == F.TYPE_BOOL:
        return {"type": "boolean"}
    return dict(NUMBER) if kind in (F.TYPE_DOUBLE, F.TYPE_FLOAT) else {"type": "string"}


def _message(message: Descriptor, definitions: dict[str, Schema]) -> Schema:
    known = WELL_KNOWN.get(message.full_name)
    if known is not None:
        return dict(known)
    if message.full_name not in definitions:
        definitions[message.full_name] = {}  # holds the place of a message that holds itself
        definitions[message.full_name] = _object(message, definitions)
    return {"$ref": DIALECT + message.full_name}


def _enum(enum: EnumDescriptor) -> Schema:
    if enum.full_name == "google.protobuf.NullValue":
        return {"type": "null"}
    return {"type": "string", "enum": [value.name for value in enum.values]}
