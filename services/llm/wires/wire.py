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

    def prepare(self, url: str, headers: Mapping[str, str], body: bytes) -> Prepared:
        """A request as it goes out; `url` and `headers` are the model's. Raises WireCannot."""
        ...

    def reading(self, model: str) -> Reading | None:
        """None where the answer is OpenAI's already."""
        ...


class WireCannot(InvalidArgument):
    """The provider's API has no form for what is asked."""

    reason = "MODEL_CANNOT"

    def __init__(self, what: str, param: str) -> None:
        super().__init__(f"this model's provider has no form for {what}", param=param)


def event(value: Any) -> bytes:
    """A server-sent event."""
    return b"data: %s\n\n" % orjson.dumps(value)


EXTRA = "extra_content"
"""The field of a call with what only the provider reads; it goes back to it with the call."""
DONE = b"data: [DONE]\n\n"
LIMITS = ("max_tokens", "max_completion_tokens", "max_output_tokens", "max_new_tokens")


def limit_of(body: Mapping[str, Any]) -> int | None:
    """The most tokens that an answer may have, if the request says so."""
    return next((int(body[name]) for name in LIMITS if body.get(name)), None)


def text_of(content: Any) -> str:
    """The text of a message's content."""
    if isinstance(content, list):
        parts = [part.get("text") if isinstance(part, dict) else part for part in content]
        return "\n".join(part for part in parts if isinstance(part, str))
    return content if isinstance(content, str) else ""
