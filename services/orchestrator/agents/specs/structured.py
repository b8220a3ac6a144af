"""Answers in a form: JSON objects, and JSON that is valid under a schema."""

import re
from collections.abc import Mapping
from typing import Any

import orjson
from prometheus_client import Counter

from services.llm.chat import Form, ResponseFormat
from services.runtime.errors import DomainError, ErrorKind
from services.runtime.json_schema import BadSchema, BrokenSchema, JsonSchema, short

ANSWERS = Counter(
    "headworks_structured_answers_total", "Answers in a form that was asked for, checked.", ["attempt", "valid"]
)
_FENCED = re.compile(
    r"^[ \t]*(?:```|~~~)[ \t]*(?:json[\w-]*)?[ \t]*\r?\n(.*?)^[ \t]*(?:```|~~~)[ \t]*$",
    re.IGNORECASE | re.MULTILINE | re.DOTALL,
)

_INLINE = re.compile(r"```[ \t]*(?:json)?\s*(.*?)\s*```", re.IGNORECASE | re.DOTALL)


class SchemaRefused(DomainError):
    """The schema of a response format is none."""

    kind = ErrorKind.INVALID_ARGUMENT
    reason = "BAD_SCHEMA"


class Checker:
    """Checks texts against a JSON schema, or for being a JSON object."""

    def __init__(self, schema: Mapping[str, Any] | None) -> None:
        """Raises BadSchema."""
        self._schema = JsonSchema(schema) if schema is not None else None
        self._last: tuple[str, str | None] | None = None

    def fault(self, text: str) -> str | None:
        """What is wrong with the text, in words for the model; None where nothing is. A fence around it is not. The
        last text is not checked again."""
        if self._last is None or self._last[0] != text:
            self._last = text, self._fault(text)
        return self._last[1]

    def _fault(self, text: str) -> str | None:
        try:
            value = orjson.loads(unfenced(text))
        except ValueError as error:
            return f"it is not JSON: {short(str(error))}"
        if self._schema is None:
            return None if isinstance(value, dict) else "it is not a JSON object"
        try:
            return self._schema.fault(value)
        except BrokenSchema as error:
            return str(error)


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
