"""What a caller asks of a bare model: its JSON, of which little is understood and all is passed on."""

from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from gateway.calls.request import ModelRequest
from services.llm.catalogue.entry import CatalogueEntry
from services.llm.openai.chunks import Json

INSTRUCTING = ("system", "developer")
# By what names upstreams take the length of an answer.
LIMITS = ("max_tokens", "max_completion_tokens", "max_output_tokens", "max_new_tokens")
LENGTHS = (*LIMITS, "min_tokens")
CHOICES = ("n", "best_of")
LONGEST_ANSWER = 4096
"""Every model of today may write so much, and may refuse to be allowed more."""
# Where a message holds text; "input_text" and the like are the types of parts, whose text is under "text".
_TEXTS = ("content", "refusal", "reasoning_content", "text", "arguments", "output")
_INNER = ("content", "tool_calls", "function", "function_call")
# A text's place in the body: what holds it, and under which key.
_Place = tuple[Json, str]


class BareRequest:
    """A chat completion. `body` is the caller's own, checked as far as the gateway reads it; it may be changed in
    place."""

    def __init__(self, body: Json, model: str, stream: bool, include_usage: bool) -> None:
        self.body = body
        self.model = model
        self.stream = stream
        self.include_usage = include_usage
        self._places = list(_places(body["messages"]))

    @property
    def choices(self) -> int:
        """How many answers come back."""
        return self.body.get("n") or 1

    @property
    def texts(self) -> list[str]:
        """All that the model will read as text, in order."""
        return [holder[key] for holder, key in self._places]

    def put(self, texts: Sequence[str]) -> None:
        """Put others in their places: as many, in the same order."""
        for (holder, key), text in zip(self._places, texts, strict=True):
            holder[key] = text

    def asked(self, entry: CatalogueEntry, texts: Sequence[str], prompt_tokens: int) -> ModelRequest:
        """The same as the pipeline takes it; `texts` are the request's own."""
        messages = self.body["messages"]
        told = [holder[key] for holder, key in _places([each for each in messages if each["role"] in INSTRUCTING])]
        return ModelRequest(self.model, texts, "\n".join(told), prompt_tokens, self.answer_tokens(entry), self.stream)

    def answer_tokens(self, entry: CatalogueEntry) -> int:
        """The most that the answers may have, as the caller limits it or, where it does not, as the catalogue says.

        Of several limits it is the largest: which of them an upstream goes by is its own affair."""
        limits = [self.body.get(name) for name in LENGTHS]
        longest = max((limit for limit in limits if limit), default=entry.answer_tokens)
        return longest * max(self.body.get(name) or 1 for name in CHOICES)

    def bound(self, room: int | None, entry: CatalogueEntry) -> None:
        """Limit an answer that its caller does not to the `room` that there is for it."""
        longest = entry.longest_answer or LONGEST_ANSWER
        if room is not None and 0 < room < longest and not any(self.body.get(name) for name in LIMITS):
            self.body[entry.limit_field] = max(1, room // self.choices)

    def wire(self, entry: CatalogueEntry) -> bytes:
        """The body for the upstream.

        It is written anew and never the caller's bytes: of a name given twice, both sides see the same one.
        """
        body = {**self.body, "model": entry.model}
        if self.stream:
            options = self.body.get("stream_options") or {}
            body["stream_options"] = {**options, "include_usage": True}
        return orjson.dumps(body)


def _places(values: Sequence[Any]) -> Iterator[_Place]:
    for value in values:
        if not isinstance(value, dict):
            continue
        for key in _TEXTS:
            if isinstance(value.get(key), str):
                yield value, key
        for key in _INNER:
            inner = value.get(key)
            if isinstance(inner, list):
                yield from _places(inner)
            elif isinstance(inner, dict):
                yield from _places((inner,))
