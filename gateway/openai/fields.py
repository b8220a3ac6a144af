"""Reading a JSON body, with errors that name the field."""

from typing import Any

import orjson

from gateway.openai.errors import BadRequest

Json = dict[str, Any]


def parse(data: bytes) -> Json:
    """The body as an object. Raises BadRequest."""
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"the body is not valid JSON: {error}", "") from error
    if not isinstance(value, dict):
        raise BadRequest("the body must be a JSON object", "")
    return value


def text(body: Json, name: str) -> str:
    """A string that must be there."""
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise BadRequest(f"{name} must be a string that is not empty", name)
    return value


def flag(body: Json, name: str, path: str = "") -> bool:
    """A boolean; absent and null are false."""
    value = body.get(name)
    if value is not None and not isinstance(value, bool):
        raise BadRequest(f"{path}{name} must be true or false", f"{path}{name}")
    return bool(value)


def mapping(body: Json, name: str) -> Json:
    """An object; absent and null are empty."""
    value = body.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BadRequest(f"{name} must be an object", name)
    return value
