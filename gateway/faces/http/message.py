"""A request as handlers get it, and what they answer."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

JSON = "application/json"
EVENTS = "text/event-stream"


@dataclass(slots=True)
class Request:
    """`params` are the values of the path template's variables, `query` is as it came, `body` is empty for GET."""

    params: Mapping[str, str] = field(default_factory=dict)
    query: str = ""
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Body:
    """An answer's body, or, unless it is `whole`, a part of one that goes out at once. `waits_for`: what a comment says
    of the silence that follows a part of a stream."""

    content_type: str
    data: bytes
    whole: bool = False
    waits_for: str = ""


def as_json(value: Any) -> Body:
    """The value as a whole answer; numpy's arrays are lists."""
    return Body(JSON, orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY), whole=True)
