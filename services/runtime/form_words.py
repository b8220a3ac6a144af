"""What is wrong with a form that a person has filled in, in the words of YAML rather than of Python."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel

from services.runtime.spelling import meant

_LIST, _MAPPING = "must be a list, such as [a, b]", "must be a mapping, such as {name: value}"
_WORDS = {
    "missing": "is missing",
    "tuple_type": _LIST, "list_type": _LIST, "set_type": _LIST, "frozen_set_type": _LIST,
    "dict_type": _MAPPING, "model_type": _MAPPING, "model_attributes_type": _MAPPING,
    "string_type": "must be a text", "bool_type": "must be true or false", "bool_parsing": "must be true or false",
    "int_type": "must be a whole number", "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number", "float_type": "must be a number", "float_parsing": "must be a number",
}  # fmt: skip
"""What pydantic says in the words of Python, by the type of its error."""
# As names are: perhaps another set for the first character, then so many of a set.
_NAME = re.compile(r"\^(?:\[(?P<first>[^\]]+)\])?\[(?P<set>[^\]]+)\]\{(?P<least>\d+),(?P<most>\d+)\}\$")


def words(error: Mapping[str, Any], form: type[BaseModel] | None = None) -> str:
    """What is wrong, of one of pydantic's errors. `form`: what it was held against, for the nearest name of a field."""
    kind = str(error["type"])
    if kind == "string_pattern_mismatch":
        return _pattern(str(error["ctx"]["pattern"]))
    if kind == "extra_forbidden":
        *around, name = error["loc"]
        return f"there is no such field{meant(str(name), _fields(form, around))}"
    return _WORDS.get(kind) or str(error["msg"]).removeprefix("Value error, ")


def _pattern(pattern: str) -> str:
    name = _NAME.fullmatch(pattern)
    if name is None:
        return f"must be written as {pattern}"
    more = 1 if name["first"] else 0
    of = f"must be {int(name['least']) + more} to {int(name['most']) + more} characters of {_listed(name['set'])}"
    return f"{of}, the first of {_listed(name['first'])}" if name["first"] and name["first"] != name["set"] else of


def _listed(characters: str) -> str:
    return ", ".join(re.findall(r".-.|.", characters))


def _fields(form: type[BaseModel] | None, path: Sequence[str | int]) -> list[str]:
    """The fields that there are at a place of a form."""
    forms = [form] if form else []
    for part in path:
        if isinstance(part, int):
            continue  # an entry of a list: the list's own type has the forms of its entries
        found = [field for one in forms for name, field in one.model_fields.items() if part in (name, field.alias)]
        forms = [each for field in found for each in _forms((field.annotation, *field.metadata))] or forms
    return [field.alias or name for one in forms for name, field in one.model_fields.items()]


def _forms(annotations: Sequence[Any]) -> Iterator[type[BaseModel]]:
    for one in annotations:
        if isinstance(one, type) and issubclass(one, BaseModel):
            yield one
        else:
            yield from _forms(get_args(one))
