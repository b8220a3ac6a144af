"""What a provider's wire is: how a request of OpenAI's form goes out on it, and how its answers become OpenAI's."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import orjson

from services.llm.catalogue.entry import CatalogueEntry
from services.runtime.errors import InvalidArgument


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request as it goes out."""

    url: str
    headers: Mapping[str, str]
    body: bytes


class Reading(Protocol):
    """One answer on its way to OpenAI's form. Raises ValueError for what is none, with words that go on
    "the answer ..."."""

    def feed(self, portion: bytes) -> bytes:
        """The server-sent events that a portion completes."""
        ...

    def end(self) -> bytes:
        """Those at the end of the stream."""
        ...

    def whole(self, body: bytes) -> bytes:
        """The completion that a whole body is."""
        ...


class Wire(Protocol):
    """A provider's."""

    def url(self, entry: CatalogueEntry) -> str:
        """Where a model of the catalogue is asked."""
        ...

    def headers(self, key: str) -> Mapping[str, str]:
        """Those that the key goes out with."""
        ...

    async def prepare(self, url: str, headers: Mapping[str, str], body: bytes) -> Prepared:
        """A request as it goes out; `url` and `headers` are the model's. Raises WireCannot and Unsigned."""
        ...

    def reading(self, model: str) -> Reading | None:
        """None where the answer is OpenAI's already."""
        ...


class WireCannot(InvalidArgument):
    """The provider's API has no form for what is asked."""

    reason = "MODEL_CANNOT"

    def __init__(self, what: str, param: str) -> None:
        super().__init__(f"this model's provider has no form for {what}", param=param)


class Unsigned(Exception):
    """A request cannot be signed: the message tells an operator why, and what to do."""


def event(value: Any) -> bytes:
    """A server-sent event."""
    return b"data: %s\n\n" % orjson.dumps(value)


EXTRA = "extra_content"
"""The field of a call with what only the provider reads; it goes back to it with the call."""
DONE = b"data: [DONE]\n\n"


def answer_of(data: bytes) -> dict[str, Any]:
    """The object that an answer or an event is. Raises ValueError."""
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise ValueError("is not JSON") from error
    if not isinstance(value, dict):
        raise ValueError("is no object")
    return value
