"""JSON schemas of arguments, in short."""

from collections.abc import Mapping
from typing import Any


def obj(properties: Mapping[str, Any], *required: str) -> dict[str, Any]:
    """The schema of an object with these properties and no others."""
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


def text(description: str, longest: int = 2000) -> dict[str, Any]:
    return {"type": "string", "description": description, "minLength": 1, "maxLength": longest}
