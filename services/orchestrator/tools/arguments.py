"""The arguments of a call: parsed, and held against the tool's schema, which is compiled once."""

from collections.abc import Mapping
from typing import Any

import orjson

from services.orchestrator.domain.tool import Reason, ToolFailed
from services.runtime.json_schema import BrokenSchema, JsonSchema

MAX_CHARACTERS = 1 << 20


class ArgumentSchema:
    """The JSON schema of a tool's arguments."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        """Raises ValueError where it is no JSON schema of an object."""
        compiled = JsonSchema(schema)
        if schema.get("type", "object") != "object":
            raise ValueError(f"the arguments of a tool are an object, not {schema['type']!r}")
        self._schema = compiled

    def parse(self, text: str) -> dict[str, Any]:
        """The arguments in a JSON text; none where it is empty. Raises ToolFailed, in words for the model."""
        if len(text) > MAX_CHARACTERS:
            raise ToolFailed(
                f"the arguments are {len(text)} characters long; at most {MAX_CHARACTERS} are taken",
                reason=Reason.INVALID_ARGUMENTS,
            )
        try:
            arguments = orjson.loads(text) if text.strip() else {}
        except ValueError as error:
            raise ToolFailed(f"the arguments are not valid JSON: {error}", reason=Reason.INVALID_JSON) from error
        if not isinstance(arguments, dict):
            raise ToolFailed("the arguments must be a JSON object", reason=Reason.INVALID_JSON)
        self._check(arguments)
        return arguments

    def _check(self, arguments: dict[str, Any]) -> None:
        try:
            fault = self._schema.fault(arguments)
        except BrokenSchema as error:
            raise ToolFailed(f"the tool's schema is broken: {error}", reason=Reason.INTERNAL) from error
        if fault is not None:
            raise ToolFailed(f"the arguments break the tool's schema: {fault}", reason=Reason.INVALID_ARGUMENTS)
