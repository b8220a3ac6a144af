"""The body of a message to that of a chat completion: fields that are obeyed, and those that change no answer."""

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.calls.bare_request import BareRequest
from gateway.calls.prompt_use import PromptUse
from gateway.faces.http.anthropic import messages, tools
from gateway.faces.http.anthropic.errors import NoThreads
from gateway.faces.http.openai import fields
from gateway.faces.http.openai.errors import BadRequest
from gateway.faces.http.openai.prompt_fields import FIELD
from services.llm.catalogue.entry import ANY_FIELD, CatalogueEntry
from services.llm.openai.chunks import Json
from services.llm.tokens import estimate_prompt

KNOWN = frozenset((
    "model", "messages", "max_tokens", "system", "stream", "temperature", "top_p", "top_k", "stop_sequences", "tools",
    "tool_choice", "thinking", "metadata", "output_config", "output_format", "context_management", FIELD,
))  # fmt: skip
IGNORED = frozenset(("cache_control", "service_tier", "diagnostics", "billing_policy"))
"""They bear on Anthropic's cache and bill, and not on the answer."""
MOST_TOKENS = (1 << 31) - 1
_SHOWN = ("enabled", "adaptive", "between_tools")
# What the client forgets of its thoughts: they go back with calls of tools alone.
_FORGETTING = "clear_thinking_"


@dataclass(frozen=True, slots=True)
class MessageRequest:
    """`chat`: the same as a chat completion. `thoughts`: whether they are shown. `stops`: the caller's own."""

    chat: Json
    model: str
    stream: bool
    thoughts: bool
    stops: Sequence[str]

    def prompt_tokens(self, prompt: PromptUse | None = None) -> int:
        """About how many tokens the model reads, with a prompt of the tenant's where it is known."""
        asked = BareRequest(self.chat, self.model, False, False)
        asked.prompt = prompt
        return estimate_prompt(asked.counted) + asked.media


def parse(body: Json, entry: CatalogueEntry | None, answers: bool = True) -> MessageRequest:
    """`entry` is the bare model's; `answers` whether there is to be an answer. Raises BadRequest, naming the field."""
    if body.get("thread"):
        raise NoThreads
    fields.known({name: value for name, value in body.items() if name not in IGNORED}, KNOWN | {"speed"}, "")
    if body.get("speed") not in (None, "standard"):
        raise BadRequest("speed must be standard", "speed")
    _check_context_management(body)
    stops, stream = _stops(body), fields.flag(body, "stream")
    model = fields.text(body, "model")
    chat: Json = {"model": model, "messages": messages.parse(body), "stream": stream}
    chat |= {name: body[name] for name in ("temperature", "top_p", "top_k") if body.get(name) is not None}
    chat |= tools.answer_form(body)
    if body.get(FIELD) is not None:
        chat[FIELD] = body[FIELD]
    if stops:
        chat["stop"] = stops
    if stream:
        chat["stream_options"] = {"include_usage": True}
    if described := tools.parse(body):
        chat |= {"tools": described, **tools.choice(body)}
    if beside := {name: value for name, value in fields.mapping(body, "metadata").items() if name != "user_id"}:
        chat["metadata"] = beside
    if answers:
        chat |= _limit(body)
    return MessageRequest(chat | _effort(body, entry), model, stream, _thoughts(body), stops)


def _limit(body: Json) -> Json:
    """The most tokens of the answer."""
    most = fields.integer(body, "max_tokens", 1, MOST_TOKENS)
    if most is None:
        raise BadRequest("max_tokens must be there: the most tokens that the answer may have", "max_tokens")
    return {"max_tokens": most}


def _effort(body: Json, entry: CatalogueEntry | None) -> Json:
    """How much is to be thought, for upstreams whose operator says that they know of it: coding agents ask every model
    for it, and one that does not would refuse them."""
    if entry is None:
        return {}
    wanted = {"thinking": body.get("thinking"), "reasoning_effort": fields.mapping(body, "output_config").get("effort")}
    passes = entry.passes
    return {name: value for name, value in wanted.items() if value and (name in passes or ANY_FIELD in passes)}


def _thoughts(body: Json) -> bool:
    """Whether thoughts are shown: where they were asked for, as clients that do not ask do not expect them."""
    given = fields.mapping(body, "thinking")
    return given.get("type") in _SHOWN and given.get("display") != "omitted"


def _stops(body: Json) -> list[str]:
    stops = fields.entries(body, "stop_sequences")
    if not all(isinstance(stop, str) and stop for stop in stops):
        raise BadRequest("stop_sequences must be strings that are not empty", "stop_sequences")
    return stops


def _check_context_management(body: Json) -> None:
    """Raises BadRequest for what would cut the conversation."""
    given = fields.mapping(body, "context_management")
    fields.known(given, ("edits",), "context_management.")
    for place, edit in enumerate(fields.entries(given, "edits", "context_management.")):
        path = f"context_management.edits[{place}]"
        kind = edit.get("type") if isinstance(edit, dict) else None
        if not (isinstance(kind, str) and kind.startswith(_FORGETTING)):
            raise BadRequest(f"{path} of the type {kind!r} is not supported here: shorten the conversation", path)
