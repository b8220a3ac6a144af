"""The body of a response to that of a chat completion: fields that are obeyed, and those that change no answer."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.calls import bare_fields
from gateway.faces.http.openai import fields
from gateway.faces.http.openai.errors import BadRequest
from gateway.faces.http.openai.prompt_fields import FIELD
from gateway.faces.http.openai.responses import items, tools
from gateway.faces.http.openai.responses.tools import CallersTool, CallersTools
from services.llm.openai.chunks import Json

KNOWN = frozenset((
    "model", "input", "instructions", "stream", "stream_options", "temperature", "top_p", "max_output_tokens", "tools",
    "tool_choice", "parallel_tool_calls", "text", "reasoning", "metadata", "previous_response_id", "conversation",
    "store", "include", "truncation", "service_tier", "background", "client_metadata", "prompt",
))  # fmt: skip
_AS_IT_IS = (
    "temperature", "top_p", "metadata", "user", "safety_identifier", "prompt_cache_key", "prompt_cache_retention",
    "prompt_cache_options",
)  # fmt: skip
"""They go on to the chat completion, which knows what becomes of them."""
_HINTS: Mapping[str, str] = {
    "background": "is not there yet: ask with stream, or without it and wait",
    "max_tool_calls": "is not supported: an agent's spec limits its own calls",
    "truncation": "must be disabled: what the caller sends is not cut",
}
_INCLUDED = ("reasoning.encrypted_content", "file_search_call.results", "web_search_call.action.sources")
"""Of what is not in any answer here; clients ask for it by themselves."""
MOST_TOKENS = (1 << 31) - 1


@dataclass(frozen=True, slots=True)
class ResponseRequest:
    """`chat`: the same as a chat completion; `body`: as it came, for the response says much of it again. `previous`:
    the response that this one goes on from; `session_id`: the session that the caller names. `store`: as it is
    asked for. `named`: see CallersTools."""

    chat: Json
    body: Json
    model: str
    stream: bool
    store: bool | None
    previous: str
    session_id: str
    named: Mapping[str, CallersTool]


def parse(body: Json) -> ResponseRequest:
    """Raises BadRequest, naming the field."""
    _check(body)
    stream, model = fields.flag(body, "stream"), fields.text(body, "model")
    prompt = _prompt(body)
    messages = [] if prompt and body.get("input") in (None, "", []) else items.messages(body)
    chat: Json = {"model": model, "messages": messages, "stream": stream, **prompt}
    chat |= {name: body[name] for name in _AS_IT_IS if body.get(name) not in (None, {})}
    if stream:
        chat["stream_options"] = {"include_usage": True}
    most = fields.integer(body, "max_output_tokens", 1, MOST_TOKENS)
    if most is not None:
        chat["max_tokens"] = most
    described = _tools(body)
    if described.functions:
        chat |= {"tools": described.functions, **tools.choice(body)}
    chat |= _form(body) | _effort(body)
    previous = fields.maybe_text(body, "previous_response_id")
    session_id = _conversation(body)
    if sum(map(bool, (previous, session_id, fields.mapping(body, "metadata").get("session_id")))) > 1:
        raise BadRequest(
            "previous_response_id, conversation and metadata.session_id name the same: send one", "conversation"
        )
    store = None if body.get("store") is None else fields.flag(body, "store")
    return ResponseRequest(chat, body, model, stream, store, previous, session_id, described.named)


def _prompt(body: Json) -> Json:
    """A prompt of the tenant's, as OpenAI's own form names one."""
    given = fields.mapping(body, "prompt")
    if not given:
        return {}
    fields.known(given, ("id", "version", "variables"), "prompt.")
    name, version = fields.text(given, "id", "prompt."), fields.maybe_text(given, "version", "prompt.")
    variables = fields.mapping(given, "variables", "prompt.")
    values = {each: _value(value, f"prompt.variables.{each}") for each, value in variables.items()}
    return {FIELD: {"prompt": {"name": f"{name}@{version}" if version else name, "variables": values}}}


def _value(value: Any, path: str) -> Any:
    """A value as it is, or the text of a part of an input."""
    if not isinstance(value, dict):
        return value
    if value.get("type") != "input_text":
        raise BadRequest(f"{path} must be a text: pictures and files are not supported here", path)
    return fields.text(value, "text", f"{path}.")


def _check(body: Json) -> None:
    """Raises BadRequest for a field that would change the answer if it were obeyed, and is not."""
    for name, value in body.items():
        known = (name in KNOWN or name in _AS_IT_IS) and name not in _HINTS
        if known or bare_fields.idle(name, value):
            continue
        raise BadRequest(f"{name} {_HINTS.get(name, 'is not supported here')}", name)
    for name in fields.entries(body, "include"):
        if name not in _INCLUDED:
            raise BadRequest(f"include {name!r} is not supported here", "include")
    if body.get("service_tier") not in (None, "auto", "default"):
        raise BadRequest("service_tier must be auto or default", "service_tier")


def _conversation(body: Json) -> str:
    """A conversation is a session, by its id."""
    given = body.get("conversation")
    return (
        fields.text(given, "id", "conversation.")
        if isinstance(given, dict)
        else fields.maybe_text(body, "conversation")
    )


def _tools(body: Json) -> CallersTools:
    made = CallersTools()
    for place, tool in enumerate(fields.entries(body, "tools")):
        made.take(tool, f"tools[{place}]")
    return made


def _form(body: Json) -> Json:
    """The form of the answer, and how wordy it is."""
    text = fields.mapping(body, "text")
    fields.known(text, ("format", "verbosity"), "text.")
    made: Json = {"verbosity": text["verbosity"]} if text.get("verbosity") else {}
    given = fields.mapping(text, "format", "text.")
    kind = given.get("type", "text")
    if kind == "json_schema":
        schema = {name: value for name, value in given.items() if name != "type" and value is not None}
        return made | {"response_format": {"type": "json_schema", "json_schema": schema}}
    return made if kind == "text" else made | {"response_format": given}


def _effort(body: Json) -> Json:
    """How much is to be thought. Thoughts are shown as they are, without a summary."""
    given = fields.mapping(body, "reasoning")
    fields.known(given, ("effort", "summary", "generate_summary"), "reasoning.")
    return {"reasoning_effort": given["effort"]} if given.get("effort") else {}
