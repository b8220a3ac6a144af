"""Answers in a form: JSON objects, and JSON that is valid under a schema."""

import re
from collections.abc import Mapping
from typing import Any

import orjson
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, best_match
from prometheus_client import Counter
from referencing import Registry
from referencing.exceptions import Unresolvable

from services.llm.chat import Form, ResponseFormat
from services.runtime.errors import DomainError, ErrorKind

ANSWERS = Counter(
    "headworks_structured_answers_total", "Answers in a form that was asked for, checked.", ["attempt", "valid"]
)
MOST_WORDS = 500
_FENCED = re.compile(
    r"^[ \t]*(?:```|~~~)[ \t]*(?:json[\w-]*)?[ \t]*\r?\n(.*?)^[ \t]*(?:```|~~~)[ \t]*$",
    re.IGNORECASE | re.MULTILINE | re.DOTALL,
)

_INLINE = re.compile(r"```[ \t]*(?:json)?\s*(.*?)\s*```", re.IGNORECASE | re.DOTALL)


class BadSchema(ValueError):
    """Not a JSON schema."""


class SchemaRefused(DomainError):
    """The schema of a response format is none."""

    kind = ErrorKind.INVALID_ARGUMENT
    reason = "BAD_SCHEMA"


class Checker:
    """Checks texts against a JSON schema, or for being a JSON object. Nothing is fetched for a `$ref`."""

    def __init__(self, schema: Mapping[str, Any] | None) -> None:
        """Raises BadSchema."""
        try:
            if schema is not None:
                Draft202012Validator.check_schema(schema)
        except SchemaError as error:
            raise BadSchema(f"not a JSON schema: {error.json_path}: {_short(error.message)}") from error
        except RecursionError as error:
            raise BadSchema("not a JSON schema: it is nested too deeply") from error
        self._validator = Draft202012Validator(schema, registry=Registry()) if schema is not None else None

    def fault(self, text: str) -> str | None:
        """What is wrong with the text, in words for the model; None where nothing is. A fence around it is not."""
        try:
            value = orjson.loads(unfenced(text))
        except ValueError as error:
            return f"it is not JSON: {_short(str(error))}"
        if self._validator is None:
            return None if isinstance(value, dict) else "it is not a JSON object"
        try:
            wrong = best_match(self._validator.iter_errors(value))
        except RecursionError:
            return "it is nested too deeply"
        except Unresolvable as missing:
            return f"the schema refers to what is not there: {_short(str(missing))}"
        return None if wrong is None else f"{wrong.json_path}: {_short(wrong.message)}"


def unfenced(text: str) -> str:
    """JSON without the fence of Markdown that models write around it, and what they say before and after; any other
    text as it is."""
    if text.lstrip()[:1] in ("{", "["):
        return text
    fenced = _FENCED.findall(text) or _INLINE.findall(text)
    return fenced[0].strip() if len(fenced) == 1 else text


def checker(form: ResponseFormat) -> Checker | None:
    """What checks answers of that form; None for text. Raises SchemaRefused."""
    if form.form is Form.TEXT:
        return None
    try:
        return Checker(form.schema if form.form is Form.JSON_SCHEMA else None)
    except BadSchema as error:
        raise SchemaRefused(f"response_format: {error}", field="response_format") from error


def counted(attempt: int, *, valid: bool) -> None:
    """Count an answer that was checked; `attempt` is 1, or 2 after a repair."""
    ANSWERS.labels(str(attempt), str(valid).lower()).inc()


def _short(message: str) -> str:
    return message if len(message) <= MOST_WORDS else message[:MOST_WORDS] + "…"
