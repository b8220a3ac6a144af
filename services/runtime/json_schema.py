"""JSON schemas that strangers write, and values that models and tool servers write: checked within a bound.

A schema of a kilobyte can ask for more work than there is time: by patterns, by references that double, by comparing
each item with each. Patterns are RE2's here, linear in the text; what is left is counted, and given up at STEPS.
"""

from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from functools import lru_cache
from typing import Any

import orjson
import re2
from jsonschema import Draft202012Validator, _keywords, _utils
from jsonschema.exceptions import SchemaError, ValidationError, best_match
from jsonschema.validators import extend
from referencing import Registry
from referencing.exceptions import Unresolvable

STEPS = 50_000
"""Keywords that are applied to values in one check: about a second of work at worst."""
LONGEST = 500
"""Characters of a message."""
_DATA = frozenset(("enum", "const", "default", "examples"))
_left: ContextVar[list[int]] = ContextVar("left")


class BadSchema(ValueError):
    """Not a JSON schema, or none that can be checked here."""


class BrokenSchema(ValueError):
    """It refers to what is not there."""


class _TooCostly(Exception):
    pass


class _Linear:
    """In the place of `re` within jsonschema."""

    @staticmethod
    def search(pattern: str, text: str) -> Any:
        return _compiled(pattern).search(text)


@lru_cache(1024)
def _compiled(pattern: str) -> Any:
    options = re2.Options()
    options.log_errors = False
    return re2.compile(pattern, options)


# Each keyword with a pattern searches by the `re` of one of these modules.
for _module in (_keywords, _utils):
    setattr(_module, "re", _Linear)  # noqa: B010 (it has no such name for a type checker)


class JsonSchema:
    """A schema of the draft 2020-12, compiled. Nothing is fetched for a `$ref`."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        """Raises BadSchema."""
        try:
            Draft202012Validator.check_schema(schema)
            _check_patterns(schema)
        except SchemaError as error:
            raise BadSchema(f"not a JSON schema: {error.json_path}: {short(error.message)}") from error
        except RecursionError as error:
            raise BadSchema("not a JSON schema: it is nested too deeply") from error
        self._validator = _Validator(schema, registry=Registry())

    def fault(self, value: Any) -> str | None:
        """What is wrong with a value, with its path; None where nothing is. Raises BrokenSchema."""
        token = _left.set([STEPS])
        try:
            wrong = best_match(self._validator.iter_errors(value))
        except RecursionError:
            return "it is nested too deeply"
        except _TooCostly:
            return "it takes too much work to check it against the schema"
        except Unresolvable as missing:
            raise BrokenSchema(f"the schema refers to what is not there: {short(str(missing))}") from missing
        finally:
            _left.reset(token)
        return None if wrong is None else f"{wrong.json_path}: {short(wrong.message)}"


def short(message: str) -> str:
    return message if len(message) <= LONGEST else message[:LONGEST] + "…"


def _check_patterns(schema: Any) -> None:
    """Raises BadSchema for a pattern that RE2 does not know."""
    if isinstance(schema, dict):
        patterns = [schema["pattern"]] if isinstance(schema.get("pattern"), str) else []
        inner = schema.get("patternProperties")
        for pattern in [*patterns, *(inner if isinstance(inner, dict) else ())]:
            try:
                _compiled(pattern)
            except re2.error as error:
                told = f"the pattern {short(pattern)!r} cannot be used: it has to be one that RE2 knows ({error})"
                raise BadSchema(told) from error
        for name, value in schema.items():
            if name not in _DATA:
                _check_patterns(value)
    elif isinstance(schema, list):
        for value in schema:
            _check_patterns(value)


Keyword = Callable[[Any, Any, Any, Any], Iterator[ValidationError] | None]


def _counted(keyword: Keyword) -> Keyword:
    def apply(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[ValidationError] | None:
        left = _left.get()
        left[0] -= 1
        if left[0] < 0:
            raise _TooCostly
        return keyword(validator, value, instance, schema)

    return apply


def _unique(validator: Any, wanted: Any, instance: Any, _: Any) -> Iterator[ValidationError]:
    if not wanted or not validator.is_type(instance, "array"):
        return
    seen = {orjson.dumps(_plain(item), option=orjson.OPT_SORT_KEYS) for item in instance}
    if len(seen) < len(instance):
        yield ValidationError("has items that are the same")


def _plain(value: Any) -> Any:
    """With whole numbers as such: 1.0 is 1."""
    if isinstance(value, float) and value.is_integer():
        return int(value) if abs(value) < 1 << 53 else value
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return {name: _plain(item) for name, item in value.items()} if isinstance(value, dict) else value


_Validator: Any = extend(  # type: ignore[no-untyped-call]
    Draft202012Validator,
    {name: _counted(keyword) for name, keyword in {**Draft202012Validator.VALIDATORS, "uniqueItems": _unique}.items()},
)
