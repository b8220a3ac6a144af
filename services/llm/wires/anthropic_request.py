"""A chat completion as Anthropic's Messages has it. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from services.llm.wires.chat_body import (
    INSTRUCTING,
    calls_of,
    chosen,
    function_of,
    inline,
    limit_of,
    object_of,
    parts_of,
    stops,
    text_of,
    tools_of,
    turns,
    url_of,
)
from services.llm.wires.prompt_cache import MARK, mark
from services.llm.wires.wire import WireCannot

MOST_TOKENS = 4096
"""Of an answer that nobody limits: the API wants a number."""
_CHOICES = {"auto": {"type": "auto"}, "none": {"type": "none"}, "required": {"type": "any"}}
_AS_THEY_ARE = ("temperature", "top_p", "top_k", "thinking", "service_tier")
_SILENT = frozenset((
    "model", "messages", "stream", "stream_options", "stop", "tools", "tool_choice", "parallel_tool_calls", "user",
    "max_tokens", "max_completion_tokens", "max_output_tokens", "max_new_tokens", "seed", "prompt_cache_key",
    "safety_identifier", "presence_penalty", "frequency_penalty", "reasoning_effort", "logprobs", "top_logprobs",
    "verbosity", "n", "continue_final_message", "add_generation_prompt",
    *_AS_THEY_ARE,
))  # fmt: skip
"""Fields that are seen to, or that the API has no place for and whose absence changes no form."""


def messages_request(body: Mapping[str, Any], caching: bool = False) -> dict[str, Any]:
    """`caching`: its beginning is to be found again. Raises WireCannot."""
    form = body.get("response_format")
    if isinstance(form, dict) and form.get("type") not in (None, "text"):
        raise WireCannot("a response_format", "response_format")
    if "functions" in body:
        raise WireCannot("functions: give tools", "functions")
    made: dict[str, Any] = {
        "model": body["model"],
        "max_tokens": limit_of(body) or MOST_TOKENS,
        "messages": [
            {"role": role, "content": blocks} for role, blocks in turns(body["messages"], "assistant", _blocks)
        ],
        "stream": bool(body.get("stream")),
    }
    if told := list(_told(body["messages"])):
        made["system"] = told
    made |= {name: body[name] for name in _AS_THEY_ARE if body.get(name) is not None}
    if stop := stops(body):
        made["stop_sequences"] = stop
    if body.get("user"):
        made["metadata"] = {"user_id": body["user"]}
    if tools := tools_of(body):
        made["tools"] = [_tool(tool) for tool in tools]
        made["tool_choice"] = _choice(body.get("tool_choice") or "auto")
        if body.get("parallel_tool_calls") is False:
            made["tool_choice"] = {**made["tool_choice"], "disable_parallel_tool_use": True}
    if caching:
        mark(made)
    # What the operator lets through beside, as it is.
    return made | {name: value for name, value in body.items() if name not in _SILENT and name != "response_format"}


def _blocks(message: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    content = message.get("content")
    if message.get("role") in ("tool", "function"):
        result: dict[str, Any] = {"type": "tool_result", "tool_use_id": message.get("tool_call_id") or ""}
        yield result | ({"content": list(_parts(content))} if content else {}) | _marked(message)
        return
    parts = list(_parts(content))
    if parts:
        parts[-1] |= _marked(message)  # some mark the message
    yield from parts
    for call in calls_of(message):
        function = call.get("function") or {}
        yield {
            "type": "tool_use",
            "id": call.get("id") or "",
            "name": function.get("name") or "",
            "input": object_of(function.get("arguments")),
        }


def _told(messages: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """The instructions: one block a message, or one a part where a caller says up to which to keep them."""
    for message in messages:
        if message.get("role") not in INSTRUCTING:
            continue
        parts = list(_parts(message.get("content")))
        if parts:
            parts[-1] |= _marked(message)
        if any(MARK in part for part in parts):
            yield from parts
        elif text := text_of(message.get("content")):
            yield {"type": "text", "text": text}


def _marked(given: Mapping[str, Any]) -> dict[str, Any]:
    """The caller's own breakpoint, if there is one."""
    return {MARK: given[MARK]} if isinstance(given.get(MARK), dict) else {}


def _parts(content: Any) -> Iterator[dict[str, Any]]:
    """The API refuses a text that is empty."""
    for part in parts_of(content):
        match part.get("type"):
            case "text":
                if part.get("text"):
                    yield {"type": "text", "text": part["text"]} | _marked(part)
            case "image_url":
                yield {"type": "image", "source": _source(part.get("image_url"))} | _marked(part)
            case "refusal":
                if part.get("refusal"):
                    yield {"type": "text", "text": part["refusal"]}
            case kind:
                raise WireCannot(f"a part of the type {kind!r}", "messages")


def _source(image: Any) -> dict[str, str]:
    url = url_of(image)
    if (data := inline(url)) is None:
        return {"type": "url", "url": url}
    return {"type": "base64", "media_type": data[0], "data": data[1]}


def _tool(tool: Any) -> dict[str, Any]:
    function = function_of(tool)
    schema = function.get("parameters") or {"type": "object", "properties": {}}
    described = {"description": function["description"]} if function.get("description") else {}
    return {"name": function.get("name") or "", **described, "input_schema": schema} | _marked(tool)


def _choice(choice: Any) -> dict[str, Any]:
    if isinstance(choice, str) and choice in _CHOICES:
        return dict(_CHOICES[choice])
    return {"type": "tool", "name": chosen(choice)}
