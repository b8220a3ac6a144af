"""What a caller asks of an upstream's model: its JSON, of which little is understood and all is passed on."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from gateway.faces.http.openai import fields
from gateway.faces.http.openai.errors import BadRequest
from gateway.faces.http.openai.fields import Json
from services.llm.catalogue.entry import Entry
from services.llm.tokens import estimate_prompt

MOST_MESSAGES = 1000
# Where a message holds text; "input_text" and the like are the types of parts, whose text is under "text".
_TEXTS = ("content", "refusal", "reasoning_content", "text", "arguments", "output")
# By what names upstreams take the length of an answer.
_LONGEST = ("max_tokens", "max_completion_tokens", "max_output_tokens", "max_new_tokens", "min_tokens")
_INNER = ("content", "tool_calls", "function", "function_call")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a text stands in the body."""

    holder: dict[str, Any]
    key: str

    @property
    def text(self) -> str:
        return str(self.holder[self.key])


@dataclass(slots=True)
class Asked:
    """A chat completion. `body` is the caller's own, and may be changed in place."""

    body: Json
    model: str
    stream: bool
    include_usage: bool
    places: Sequence[Place]

    @property
    def texts(self) -> list[str]:
        """All that the model will read as text, in order."""
        return [place.text for place in self.places]

    def put(self, texts: Sequence[str]) -> None:
        """Put others in their places: as many, in the same order."""
        for place, text in zip(self.places, texts, strict=True):
            place.holder[place.key] = text

    @property
    def prompt_tokens(self) -> int:
        """An estimate."""
        return estimate_prompt(self.texts)

    def answer_tokens(self, entry: Entry) -> int:
        """The most that the answer may have, as the caller limits it or, where it does not, as the file says.

        Of several limits it is the largest: which of them an upstream goes by is its own affair."""
        limits = [self.body.get(name) for name in _LONGEST]
        return max((one for one in limits if isinstance(one, int) and one > 0), default=entry.answer_tokens)

    def wire(self, entry: Entry) -> bytes:
        """The body for the upstream.

        It is written anew and never the caller's bytes: of a name given twice, both sides see the same one.
        """
        body = {**self.body, "model": entry.model}
        if self.stream:
            options = self.body.get("stream_options") or {}
            body["stream_options"] = {**options, "include_usage": True}
        return orjson.dumps(body)


def parse(body: Json) -> Asked:
    """Raises BadRequest, naming the field."""
    if body.get("n") not in (None, 1):
        raise BadRequest("n must be 1", "n")
    for name in _LONGEST:
        fields.integer(body, name, 1, (1 << 31) - 1)
    options = fields.mapping(body, "stream_options")
    return Asked(
        body,
        fields.text(body, "model"),
        fields.flag(body, "stream"),
        fields.flag(options, "include_usage", "stream_options."),
        list(_places(_messages(body))),
    )


def _messages(body: Json) -> list[Json]:
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise BadRequest("messages must be a list that is not empty", "messages")
    if len(messages) > MOST_MESSAGES:
        raise BadRequest(f"messages has {len(messages)} entries; the most is {MOST_MESSAGES}", "messages")
    for index, message in enumerate(messages):
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise BadRequest(f"messages[{index}] must be an object with a role", f"messages[{index}]")
    return messages


def _places(values: Sequence[Any]) -> Iterator[Place]:
    for value in values:
        if not isinstance(value, dict):
            continue
        for key in _TEXTS:
            if isinstance(value.get(key), str):
                yield Place(value, key)
        for key in _INNER:
            inner = value.get(key)
            if isinstance(inner, list):
                yield from _places(inner)
            elif isinstance(inner, dict):
                yield from _places((inner,))
