"""A request as handlers get it, and what they answer."""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from services.runtime.errors import DomainError

JSON = "application/json"
EVENTS = "text/event-stream"


async def _nothing() -> AsyncIterator[bytes]:
    no_parts: tuple[bytes, ...] = ()
    for part in no_parts:
        yield part


@dataclass(slots=True)
class Request:
    """`params` are the values of the path template's variables, `query` is as it came, `body` is empty for GET. The
    body of an upload is not read before its handler does, from `stream`; `content_type` says what it is."""

    params: Mapping[str, str] = field(default_factory=dict)
    query: str = ""
    body: bytes = b""
    content_type: str = ""
    stream: AsyncIterator[bytes] = field(default_factory=_nothing)


@dataclass(frozen=True, slots=True)
class StreamForm:
    """What a stream of events has beside its answer: `silence` breaks one, and says what is waited for; `failure` ends
    it with an error."""

    silence: Callable[[str], bytes]
    failure: Callable[[DomainError], bytes]


@dataclass(frozen=True, slots=True)
class Body:
    """An answer's body, or, unless it is `whole`, a part of one that goes out at once. `waits_for`: what is said of the
    silence that follows a part of a stream; `form`: that of the stream, where it is not OpenAI's. `status`: of a whole
    answer."""

    content_type: str
    data: bytes
    whole: bool = False
    waits_for: str = ""
    form: StreamForm | None = None
    status: int = 200


def as_json(value: Any) -> Body:
    """The value as a whole answer; numpy's arrays are lists."""
    return Body(JSON, orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY), whole=True)
