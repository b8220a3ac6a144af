"""The arguments of a call: parsed, and held against the tool's schema, which is compiled once."""

from collections.abc import Mapping
from typing import Any

import orjson
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, best_match
from referencing import Registry
from referencing.exceptions import Unresolvable

from services.orchestrator.domain.tool import Reason, ToolFailed

MAX_CHARACTERS = 1 << 20
MAX_MESSAGE = 500


class ArgumentSchema:
    """The JSON schema of a tool's arguments. Nothing is fetched for a `$ref`."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        """Raises ValueError where it is no JSON schema of an object."""
        try:
            Draft202012Validator.check_schema(schema)
        except SchemaError as error:
            raise ValueError(f"not a JSON schema: {error.json_path}: {_short(error.message)}") from error
        if schema.get("type", "object") != "object":
            raise ValueError(f"the arguments of a tool are an object, not {schema['type']!r}")
        self._validator = Draft202012Validator(schema, registry=Registry())

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
            error = best_match(self._validator.iter_errors(arguments))
        except RecursionError as deep:
            raise ToolFailed("the arguments are nested too deeply", reason=Reason.INVALID_ARGUMENTS) from deep
        except Unresolvable as missing:
            raise ToolFailed(f"the tool's schema is broken: {missing}", reason=Reason.INTERNAL) from missing
        if error is not None:
            raise ToolFailed(
                f"the arguments break the tool's schema: {error.json_path}: {_short(error.message)}",
                reason=Reason.INVALID_ARGUMENTS,
            )


def _short(message: str) -> str:
    return message if len(message) <= MAX_MESSAGE else message[:MAX_MESSAGE] + "…"
