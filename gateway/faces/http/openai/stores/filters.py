"""OpenAI's filters on attributes as retrieval's filters on documents' metadata."""

from collections.abc import Sequence
from typing import Any

from headworks.retrieval.v1 import retrieval_service_pb2 as pb

from gateway.faces.http.openai import fields
from gateway.faces.http.openai.errors import BadRequest
from services.llm.openai.chunks import Json
from services.runtime.labels import number_text

MOST = 64
"""Conditions and nested filters that retrieval takes; what is more than that here is more there."""
_RANGES = ("gt", "gte", "lt", "lte")
_EQUAL = {"eq": False, "in": False, "ne": True, "nin": True}


def read(value: Any) -> pb.Filter:
    """Raises BadRequest, which names the place."""
    return _read(value, "filters", MOST)


def _read(value: Any, path: str, left: int) -> pb.Filter:
    if not isinstance(value, dict):
        raise BadRequest(f"{path} must be an object", path)
    kind = value.get("type")
    if kind in ("and", "or"):
        fields.known(value, ("type", "filters"), f"{path}.")
        parts = fields.entries(value, "filters", f"{path}.")
        if not 1 <= len(parts) <= left:
            raise BadRequest(f"{path}.filters must have 1 to {MOST} filters in all", f"{path}.filters")
        read_parts = [_read(part, f"{path}.filters[{at}]", left - len(parts)) for at, part in enumerate(parts)]
        return _both(read_parts, path) if kind == "and" else pb.Filter(any=read_parts)
    return _comparison(value, kind, path)


def _both(parts: Sequence[pb.Filter], path: str) -> pb.Filter:
    """All of the filters in one. A filter has one list of alternatives, so that of a second one each is put together
    with all of the first."""
    whole = pb.Filter()
    for part in parts:
        whole.must.extend(part.must)
        whole.must_not.extend(part.must_not)
        if not whole.any:
            whole.any.extend(part.any)
        elif part.any:
            others = list(part.any)
            if len(whole.any) * len(others) > MOST:
                raise BadRequest(f"{path} has too many alternatives in combination", path)
            combined = [_both((one, other), path) for one in whole.any for other in others]
            del whole.any[:]
            whole.any.extend(combined)
    return whole


def _comparison(value: Json, kind: Any, path: str) -> pb.Filter:
    fields.known(value, ("type", "key", "value"), f"{path}.")
    field = f"metadata.{fields.text(value, 'key', f'{path}.')}"
    given = value.get("value")
    if kind in _RANGES:
        if isinstance(given, bool) or not isinstance(given, int | float):
            raise BadRequest(f"{path}.value must be a number for {kind}", f"{path}.value")
        bounds = pb.NumberRange(**{kind: float(given)})
        return pb.Filter(must=[pb.Condition(field=field, range=bounds)])
    if kind not in _EQUAL:
        raise BadRequest(f"{path}.type must be one of {', '.join((*_EQUAL, *_RANGES))}, and, or", f"{path}.type")
    several = kind in ("in", "nin")
    if several and not isinstance(given, list):
        raise BadRequest(f"{path}.value must be a list for {kind}", f"{path}.value")
    values = given if isinstance(given, list) and several else [given]
    condition = pb.Condition(field=field, any_of=[_text(one, f"{path}.value") for one in values])
    return pb.Filter(must_not=[condition]) if _EQUAL[kind] else pb.Filter(must=[condition])


def _text(value: Any, path: str) -> str:
    """A value as metadata has it: see Attribute in vector_store.proto."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return value
        case int() | float():
            return number_text(value)
    raise BadRequest(f"{path} must be a string, a number or a boolean", path)
