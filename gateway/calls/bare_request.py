"""What a caller asks of a bare model: its JSON, of which little is understood and all is passed on."""

from collections.abc import Sequence

import orjson

from gateway.calls.request import ModelRequest
from services.llm.catalogue.entry import CatalogueEntry
from services.llm.openai.chunks import Json
from services.llm.openai.leaves import Leaf, Walk

INSTRUCTING = ("system", "developer")
# By what names upstreams take the length of an answer.
LENGTHS = ("max_tokens", "max_completion_tokens", "max_output_tokens", "max_new_tokens", "min_tokens")
# What no model reads; guards look at it all the same, for it leaves the house.
_UNCOUNTED = frozenset((
    "model", "user", "metadata", "service_tier", "reasoning_effort", "tool_choice", "function_call",
    "stream_options", "modalities", "verbosity", "prompt_cache_key", "safety_identifier", "stop", "logit_bias",
    "audio",
))  # fmt: skip
# Where messages say something.
_SAID = frozenset(("content", "text", "refusal"))


class BareRequest:
    """A chat completion. `body` is the caller's own, checked as far as the gateway reads it; it may be changed in
    place. `unread`: the field in which there is something that only a model can read; empty where there is none."""

    def __init__(self, body: Json, model: str, stream: bool, include_usage: bool) -> None:
        self.body = body
        self.model = model
        self.stream = stream
        self.include_usage = include_usage
        self._leaves: list[Leaf] = []
        self._said: list[list[int]] = []
        self._told: list[Leaf] = []
        self._ends: list[int] = []
        self._beside: list[str] = []
        self.unread = self._walk()

    @property
    def texts(self) -> list[str]:
        """All that may be read as text, in order."""
        return [leaf.text for leaf in self._leaves]

    @property
    def counted(self) -> list[str]:
        """The same as a model reads it: what messages say, what they name beside it, and each other field as JSON."""
        counted: list[str] = []
        first = 0
        for said, end in zip(self._said, self._ends, strict=True):
            counted += [self._leaves[at].text for at in said]
            beside = [leaf.text for at, leaf in enumerate(self._leaves[first:end], first) if at not in said]
            if beside:
                counted.append("\n".join(beside))
            first = end
        return [*counted, *(orjson.dumps(self.body[name]).decode() for name in self._beside)]

    def put(self, texts: Sequence[str]) -> None:
        """Put others in their places: as many, in the same order."""
        for leaf, text in reversed(list(zip(self._leaves, texts, strict=True))):
            if text != leaf.text:
                leaf.put(text)
                leaf.text = text

    def asked(self, entry: CatalogueEntry, texts: Sequence[str], prompt_tokens: int) -> ModelRequest:
        """The same as the pipeline takes it; `texts` are the request's own."""
        told = "\n".join(leaf.text for leaf in self._told)
        return ModelRequest(
            self.model, texts, told, prompt_tokens, self.answer_tokens(entry), self.stream, flows=self._said,
            unread=self.unread, speaks=self._speaks,
        )  # fmt: skip

    def answer_tokens(self, entry: CatalogueEntry) -> int:
        """The most that the answer may have, as the caller limits it or, where it does not, as the catalogue says.

        Of several limits it is the largest: which of them an upstream goes by is its own affair."""
        limits = [self.body.get(name) for name in LENGTHS]
        return max((limit for limit in limits if isinstance(limit, int) and limit > 0), default=entry.answer_tokens)

    def wire(self, entry: CatalogueEntry) -> bytes:
        """The body for the upstream.

        It is written anew and never the caller's bytes: of a name given twice, both sides see the same one.
        """
        body = {**self.body, "model": entry.model}
        if self.stream:
            options = self.body.get("stream_options") or {}
            body["stream_options"] = {**options, "include_usage": True}
        return orjson.dumps(body)

    @property
    def _speaks(self) -> str:
        """The field that asks for an answer that is to be heard."""
        modalities = self.body.get("modalities")
        if isinstance(modalities, list) and "audio" in modalities:
            return "modalities"
        return "audio" if self.body.get("audio") else ""

    def _walk(self) -> str:
        """Find the texts: of the messages, whose contents are read one behind the other, then of all other fields."""
        walk, leaves = Walk(), self._leaves
        for place, message in enumerate(self.body["messages"]):
            first = len(leaves)
            leaves += walk.over(message, f"messages[{place}]")
            said = [first + at for at, leaf in enumerate(leaves[first:]) if leaf.key in _SAID or type(leaf.key) is int]
            self._said.append(said)
            self._ends.append(len(leaves))
            if message["role"] in INSTRUCTING:
                self._told += [leaves[at] for at in said]
        for name, value in self.body.items():
            if name in ("messages", "model") or not isinstance(value, str | list | dict):
                continue
            first = len(leaves)
            leaves += walk.at(self.body, name, value, name)
            if len(leaves) > first and name not in _UNCOUNTED:
                self._beside.append(name)
        return walk.unread
