"""What a caller asks of a bare model: its JSON, of which little is understood and all is passed on."""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import orjson

from gateway.cache.question import Asked
from gateway.calls.prompt_use import PromptUse
from gateway.calls.request import ModelRequest
from services.llm.catalogue.entry import Capability, CatalogueEntry, EngineKind
from services.llm.chat import Priority, Role
from services.llm.openai.chunks import Json
from services.llm.openai.leaves import Leaf, Walk
from services.llm.openai.request import REASONING
from services.llm.openai.words import is_mark
from services.llm.routing.prefixes import reading_order
from services.llm.tokens import message_text, tool_text
from services.llm.wires.prompt_cache import MARK

INSTRUCTING = ("system", "developer")
# By what names upstreams take the length of an answer.
MAX_TOKENS = "max_tokens"
LIMITS = (MAX_TOKENS, "max_completion_tokens", "max_output_tokens", "max_new_tokens")
LENGTHS = (*LIMITS, "min_tokens")
CHOICES = ("n", "best_of")
LONGEST_ANSWER = 4096
"""Every model of today may write so much, and may refuse to be allowed more."""
# What most messages are.
_PLAIN = ("role", "content")
_ROLES = frozenset(("system", "developer", "user", "assistant", "tool", "function"))
# What no model reads; guards look at it all the same, for it leaves the house.
_UNCOUNTED = frozenset((
    "model", "user", "metadata", "service_tier", "reasoning_effort", "tool_choice", "function_call",
    "stream_options", "modalities", "verbosity", "prompt_cache_key", "safety_identifier", "stop", "logit_bias",
    "audio",
))  # fmt: skip
# The path of an object whose form is a caller's own, and the place in a list.
_ARGUMENTS, _ITEM = re.compile(r".*?\.(?:arguments|input)(?=[.\[])"), re.compile(r"\[\d+\]")
_CALL, _NAME = re.compile(r"messages\[\d+\]\.tool_calls\[\d+\]"), re.compile(r"messages\[\d+\]\.name")
_ID = re.compile(r"messages\[\d+\]\.(?:tool_call_id|tool_calls\[\d+\]\.id)")
_CAPABLE = {"tools": Capability.TOOLS, "functions": Capability.TOOLS, "logprobs": Capability.LOGPROBS}
# Where messages say something.
_SAID = frozenset(("content", "text", "refusal"))


@dataclass(slots=True)
class _Texts:
    """`said`: for each message which of the leaves are what it says; `ends`: where its leaves end. `told`: what
    messages with instructions say. `beside`: the other fields that a model reads. `lists`: which of the leaves are one
    list's, or one object's that has a form of its own. `media`: about how many tokens pictures and sounds have."""

    leaves: list[Leaf]
    said: list[list[int]] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    told: list[Leaf] = field(default_factory=list)
    beside: list[str] = field(default_factory=list)
    lists: list[list[int]] = field(default_factory=list)
    unread: str = ""
    media: int = 0


class BareRequest:
    """A chat completion. `body` is the caller's own, checked as far as the gateway reads it; it may be changed in
    place, but after its texts have been asked for only by `put`. `translated`: a face of another form wrote it. Its
    `max_tokens` goes on by the name that an upstream has for it, and as far as a model writes: the caller could not
    know. So do texts in parts as one text: not every server takes lists. `prompt`: one of the tenant's, whose messages
    come before the caller's own."""

    def __init__(self, body: Json, model: str, stream: bool, include_usage: bool, *, translated: bool = False) -> None:
        self.body = body
        self.model = model
        self.stream = stream
        self.include_usage = include_usage
        self._translated = translated
        self.priority = Priority.INTERACTIVE
        self._room: int | None = None
        self.prompt: PromptUse | None = None

    @property
    def choices(self) -> int:
        """How many answers come back."""
        return self.body.get("n") or 1

    @property
    def texts(self) -> list[str]:
        """All that may be read as text, in order."""
        own = [leaf.text for leaf in self._found.leaves]
        return own + self.prompt.texts if self.prompt is not None else own

    @property
    def media(self) -> int:
        """About how many tokens there are that are no text."""
        return self._found.media

    def said(self) -> list[str]:
        """What the user's last two messages say."""
        found = self._found
        users = [at for message, at in zip(self.body["messages"], found.said, strict=True) if message["role"] == "user"]
        own = ["\n".join(found.leaves[place].text for place in at) for at in users[-2:]]
        told = self.prompt.messages if self.prompt is not None else ()
        return [*(message.content for message in told if message.role is Role.USER), *own][-2:]

    @property
    def counted(self) -> list[str]:
        """The same as a model reads it: what messages say, the calls in them, what else they have, the tools, the form
        of the answer, and each other field as JSON."""
        found, counted = self._found, list[str]()
        first = 0
        for said, end in zip(found.said, found.ends, strict=True):
            counted += _as_read(found.leaves, range(first, end), said)
            first = end
        for name in found.beside:
            counted += _FIELDS.get(name, _as_json)(self.body[name])
        told = self.prompt.messages if self.prompt is not None else ()
        return [message_text("", message.content) for message in told] + counted

    @property
    def in_reading_order(self) -> Iterator[bytes]:
        """What a model reads, in the order of most chat templates."""
        messages, tools = self.whole["messages"], self.body.get("tools")
        instructed = messages[0]["role"] in INSTRUCTING
        return reading_order(messages, tools if isinstance(tools, list) else (), instructed)

    def put(self, texts: Sequence[str]) -> None:
        """Put others in their places: as many, in the same order."""
        leaves = self._found.leaves
        if self.prompt is not None:
            self.prompt.put(texts[len(leaves) :])
        for leaf, text in reversed(list(zip(leaves, texts[: len(leaves)], strict=True))):
            leaf.put(text)

    @property
    def whole(self) -> Json:
        """The body with the prompt's messages in it."""
        if self.prompt is None:
            return self.body
        return self.body | {"messages": [*self.prompt.json(), *self.body["messages"]]}

    def asked(
        self, entry: CatalogueEntry, texts: Sequence[str], prompt_tokens: int, cached: Asked | None = None
    ) -> ModelRequest:
        """The same as the pipeline takes it; `texts` are the request's own."""
        found = self._found
        told, flows = "\n".join(leaf.text for leaf in found.told), found.said
        if self.prompt is not None:
            told = "\n".join(filter(None, (self.prompt.instructions, told)))
            flows = [list(range(len(found.leaves), len(texts))), *flows]
        return ModelRequest(
            self.model, texts, told, prompt_tokens, self.answer_tokens(entry), flows=flows,
            lists=found.lists, unread=found.unread, speaks=self._speaks, cached=cached,
        )  # fmt: skip

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
            self._room = max(1, room // self.choices)

    def wire(self, entry: CatalogueEntry) -> bytes:
        """The body for the upstream.

        It is written anew and never the caller's bytes: of a name given twice, both sides see the same one.
        """
        body = {**self.whole, "model": entry.model}
        if entry.engine is not EngineKind.ANTHROPIC:
            body |= self._unmarked(body)
        if self._translated:
            body["messages"] = [_in_one(message) for message in body["messages"]]
        if self._translated and (most := body.pop(MAX_TOKENS, None)):
            body[entry.limit_field] = min(most, entry.longest_answer or most)
        body |= self._bounded(entry)
        if self.stream:
            options = self.body.get("stream_options") or {}
            body["stream_options"] = {**options, "include_usage": True}
        return orjson.dumps(body)

    def _unmarked(self, body: Json) -> Json:
        """What has breakpoints of a provider's cache that another provider would refuse, without them; those that a
        caller writes into the messages of a chat completion are its own affair."""
        tools = body.get("tools")
        given = {"tools": [_without_mark(tool) for tool in tools]} if isinstance(tools, list) else {}
        if not self._translated:
            return given
        return given | {"messages": [_unmarked(message) for message in body["messages"]]}

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What a model must be able to do to answer."""
        return frozenset(what for field, what in _CAPABLE.items() if self.body.get(field))

    def _bounded(self, entry: CatalogueEntry) -> Json:
        """The limit that was found for an answer, by the name that the model's upstream has for it."""
        return {} if self._room is None else {entry.limit_field: self._room}

    @property
    def _speaks(self) -> str:
        """The field that asks for an answer that is to be heard."""
        modalities = self.body.get("modalities")
        if isinstance(modalities, list) and "audio" in modalities:
            return "modalities"
        return "audio" if self.body.get("audio") else ""

    @cached_property
    def _found(self) -> _Texts:
        """The texts of the messages, whose contents are read one behind the other, then of all other fields."""
        walk = Walk()
        leaves = walk.leaves
        found = _Texts(leaves)
        for place, message in enumerate(self.body["messages"]):
            first = len(leaves)
            if _is_plain(message):
                leaves.append(Leaf(message, "content", message["content"], path=f"messages[{place}].content"))
            else:
                walk.over(message, f"messages[{place}]")
            said = [first + at for at, leaf in enumerate(leaves[first:]) if _is_said(leaf)]
            found.said.append(said)
            found.lists += _lists(leaves, first, frozenset(said))
            found.ends.append(len(leaves))
            if message["role"] in INSTRUCTING:
                found.told += [leaves[at] for at in said]
        for name, value in self.body.items():
            if name not in ("messages", "model") and isinstance(value, str | list | dict):
                first = len(leaves)
                walk.at(self.body, name, value, name)
                found.lists += _lists(leaves, first)
                if len(leaves) > first and name not in _UNCOUNTED:
                    found.beside.append(name)
        found.unread, found.media = walk.unread, walk.media
        return found


def _as_read(leaves: Sequence[Leaf], own: range, said: Sequence[int]) -> Iterator[str]:
    """The texts of a message, of which those at `said` are what it says. No model reads the ids in it."""
    spoken = "\n".join([leaves[at].text for at in said])
    if len(own) == len(said):
        yield spoken
        return
    name, thoughts, apart = "", "", frozenset(said)
    calls: dict[str, str] = {}
    beside: list[str] = []
    for leaf in [leaves[at] for at in own if at not in apart]:
        if _ID.fullmatch(leaf.path) and is_mark(leaf.key, leaf.text):
            continue
        if call := _CALL.match(leaf.path):
            calls[call[0]] = calls.get(call[0], "") + leaf.text
        elif _NAME.fullmatch(leaf.path):
            name = leaf.text
        elif leaf.key == REASONING:
            thoughts += leaf.text
        else:
            beside.append(leaf.text)
    yield message_text(name, spoken)
    first, *others = calls.values() or ("",)
    yield from filter(None, (first + thoughts, *others, "\n".join(beside)))


def _as_json(value: Any) -> Iterator[str]:
    yield orjson.dumps(value).decode()


def _tools_as_read(tools: Any) -> Iterator[str]:
    for tool in tools if isinstance(tools, list) else [tools]:
        function = tool.get("function") if isinstance(tool, dict) else None
        if isinstance(function, dict):
            schema = orjson.dumps(function["parameters"]).decode() if function.get("parameters") else ""
            yield tool_text(str(function.get("name")), str(function.get("description") or ""), schema)
        else:
            yield from _as_json(tool)


def _form_as_read(form: Any) -> Iterator[str]:
    """Its schema, and how that is described."""
    given = form.get("json_schema") if isinstance(form, dict) else None
    if not isinstance(given, dict):
        yield from _as_json(form)
    elif isinstance(schema := given.get("schema"), dict):
        described = {"description": given["description"]} if given.get("description") else {}
        yield from _as_json(described | schema)


# What of a field a model reads, where that is not all of it.
_FIELDS = {"tools": _tools_as_read, "response_format": _form_as_read}


def _is_plain(message: Json) -> bool:
    """Whether a message has nothing but a role of the API's own and a text, as most have."""
    text = message.get("content") if len(message) == len(_PLAIN) else None
    return type(text) is str and text != "" and message["role"] in _ROLES


def _without_mark(given: Any) -> Any:
    return {name: value for name, value in given.items() if name != MARK} if isinstance(given, dict) else given


def _unmarked(message: Json) -> Json:
    parts = message.get("content")
    plain = _without_mark(message) if MARK in message else message
    if not isinstance(parts, list) or not any(MARK in part for part in parts):
        return plain
    return plain | {"content": [_without_mark(part) for part in parts]}


def _in_one(message: Json) -> Json:
    """The message with a content of texts alone as one, unless a breakpoint stands between them."""
    parts = message.get("content")
    if not isinstance(parts, list) or not all(part["type"] == "text" and MARK not in part for part in parts):
        return message
    return message | {"content": "\n".join(part["text"] for part in parts)}


def _is_said(leaf: Leaf) -> bool:
    """Whether it is what a message says, and not part of a call in it."""
    return leaf.key in _SAID or (type(leaf.key) is int and not _ARGUMENTS.match(leaf.path))


def _lists(leaves: Sequence[Leaf], first: int, apart: Collection[int] = ()) -> Iterator[list[int]]:
    """Which of the leaves from the first on are read one behind the other: those at one place of several items, and all
    in one call's arguments. Those `apart` are not among them."""
    if len(leaves) - first < 2:
        return
    places: dict[str, list[int]] = {}
    for at, leaf in enumerate(leaves[first:], first):
        if leaf.path and at not in apart:
            arguments = _ARGUMENTS.match(leaf.path)
            place = arguments[0] if arguments else _ITEM.sub("", leaf.path)
            places.setdefault(place, []).append(at)
    yield from (items for items in places.values() if len(items) > 1)
