"""Reading a JSON body, with errors that name the field."""

from collections.abc import Collection
from typing import Any

import orjson

from gateway.faces.http.openai.errors import BadRequest
from services.llm.openai.chunks import Json

# Lists and objects within each other. Beyond 254, what was read could not be written again.
MOST_NESTED = 100


def parse(data: bytes) -> Json:
    """The body as an object; of a name given twice the last counts. Raises BadRequest."""
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"the body is not valid JSON: {error}", "") from error
    if not isinstance(value, dict):
        raise BadRequest("the body must be a JSON object", "")
    if data.count(b"[") + data.count(b"{") > MOST_NESTED and _too_deep(value):
        raise BadRequest(f"the body has lists and objects nested more than {MOST_NESTED} deep", "")
    return value


def _too_deep(value: Any) -> bool:
    """Level by level: recursion would end where Python's stack does."""
    level = [value]
    for _ in range(MOST_NESTED):
        inner = [one.values() if isinstance(one, dict) else one for one in level]
        level = [one for values in inner for one in values if isinstance(one, dict | list)]
        if not level:
            return False
    return True


def known(body: Json, names: Collection[str], path: str) -> None:
    """Raises BadRequest for a field of another name that says something: none is ignored in silence."""
    for name, value in body.items():
        if name not in names and (value or value == {}) and value != []:
            raise BadRequest(f"{path}{name} is not supported here", f"{path}{name}")


def text(body: Json, name: str, path: str = "") -> str:
    """A string that must be there."""
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise BadRequest(f"{path}{name} must be a string that is not empty", f"{path}{name}")
    return value


def maybe_text(body: Json, name: str, path: str = "") -> str:
    """A string; absent and null are empty."""
    value = body.get(name)
    if value is not None and not isinstance(value, str):
        raise BadRequest(f"{path}{name} must be a string", f"{path}{name}")
    return value or ""


def flag(body: Json, name: str, path: str = "", default: bool = False) -> bool:
    """A boolean; absent and null are `default`."""
    value = body.get(name)
    if value is not None and not isinstance(value, bool):
        raise BadRequest(f"{path}{name} must be true or false", f"{path}{name}")
    return default if value is None else value


def mapping(body: Json, name: str, path: str = "") -> Json:
    """An object; absent and null are empty."""
    value = body.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BadRequest(f"{path}{name} must be an object", f"{path}{name}")
    return value


def entries(body: Json, name: str, path: str = "") -> list[Any]:
    """A list; absent and null are empty."""
    value = body.get(name)
    if value is None:
        return []
    if not isinstance(value, list):
        raise BadRequest(f"{path}{name} must be a list", f"{path}{name}")
    return value


def number(body: Json, name: str, least: float, most: float, *, over: bool = False) -> float | None:
    """A number from `least`, which it must be over if `over` says so, to `most`; None where it is absent or null."""
    value = body.get(name)
    if value is None:
        return None
    fits = isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most
    if not fits or (over and value == least):
        raise BadRequest(f"{name} must be a number {'over' if over else 'from'} {least:g}, {most:g} at most", name)
    return float(value)


def integer(body: Json, name: str, least: int, most: int) -> int | None:
    """A whole number from `least` to `most`; None where it is absent or null."""
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise BadRequest(f"{name} must be a whole number from {least} to {most}", name)
    return value
