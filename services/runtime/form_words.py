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
_SHOULD = re.compile(r"^[A-Z][a-z]+ should ")
# As names are: perhaps another set for the first character, then so many of a set.
_NAME = re.compile(r"\^(?:\[(?P<first>[^\]]+)\])?\[(?P<set>[^\]]+)\]\{(?P<least>\d+),(?P<most>\d+)\}\$")


def words(error: Mapping[str, Any], form: type[BaseModel] | None = None) -> str:
    """What is wrong, of one of pydantic's errors. `form`: what it was held against, for the nearest name of a field."""
    kind = str(error["type"])
    if kind == "string_pattern_mismatch":
        return _pattern(str(error["ctx"]["pattern"]))
    if kind == "extra_forbidden":
        return _no_such_field(form, error["loc"])
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        return _tag(error["ctx"])
    if kind == "too_short":
        least = error["ctx"]["min_length"]
        return f"give at least {'one' if least == 1 else least}"
    return _WORDS.get(kind) or _SHOULD.sub("must ", str(error["msg"]).removeprefix("Value error, "))


def _tag(context: Mapping[str, Any]) -> str:
    """Of a form that is one of several, by what stands in a field of it, that this is none of theirs."""
    name, tag = str(context["discriminator"]).strip("'"), context.get("tag")
    if tag is None:
        return f"{name} is missing"
    known = re.findall(r"'([^']+)'", str(context["expected_tags"]))
    rest = meant(str(tag), known) or f": it is one of {', '.join(known)}"
    return f"there is no {name} {str(tag)[:100]!r}{rest}"


def _pattern(pattern: str) -> str:
    name = _NAME.fullmatch(pattern)
    if name is None:
        return f"must be written as {pattern}"
    more = 1 if name["first"] else 0
    of = f"must be {int(name['least']) + more} to {int(name['most']) + more} characters of {_listed(name['set'])}"
    return f"{of}, the first of {_listed(name['first'])}" if name["first"] and name["first"] != name["set"] else of


def _listed(characters: str) -> str:
    return ", ".join(re.findall(r".-.|.", characters))


def written(form: type[BaseModel] | None, path: Sequence[str | int]) -> tuple[str | int, ...]:
    """A path of pydantic's as it is in the text: without the names of the members of a union."""
    return tuple(part for part, forms in _walk(form, path) if forms is not None)


def _walk(
    form: type[BaseModel] | None, path: Sequence[str | int]
) -> Iterator[tuple[str | int, list[type[BaseModel]] | None]]:
    """Each part of a path with the forms that may be at it; with None where it is but the name of a union's member."""
    forms = [form] if form else []
    for part in path:
        if isinstance(part, int):
            yield part, forms  # an entry of a list: the list's own type has the forms of its entries
            continue
        found = [field for one in forms for name, field in one.model_fields.items() if part in (name, field.alias)]
        tagged = [one for one in forms if not found and _is_tagged(one, part)]
        if found:
            forms = [each for field in found for each in _forms((field.annotation, *field.metadata))]
        forms = tagged or forms
        yield part, None if tagged else forms


def _no_such_field(form: type[BaseModel] | None, path: Sequence[str | int]) -> str:
    """Of a field that is not there. One that another member of the union has is no slip of the pen."""
    *around, name = path
    forms = before = [form] if form else []
    for part, at in _walk(form, around):
        if at is None:
            forms = [one for one in before if _is_tagged(one, str(part))]
        else:
            forms = before = at
    return f"there is no such field{'' if name in _names(before) else meant(str(name), _names(forms))}"


def _names(forms: Sequence[type[BaseModel]]) -> list[str]:
    return [field.alias or name for one in forms for name, field in one.model_fields.items()]


def _is_tagged(form: type[BaseModel], tag: str) -> bool:
    """Whether it is the one that pydantic names so, of several that a field tells apart."""
    return any(tag in get_args(field.annotation) for field in form.model_fields.values())


def _forms(annotations: Sequence[Any]) -> Iterator[type[BaseModel]]:
    for one in annotations:
        if isinstance(one, type) and issubclass(one, BaseModel):
            yield one
        else:
            yield from _forms(get_args(one))
