"""A chat completion as Bedrock's Converse has it. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from services.llm.wires.chat_body import (
    calls_of,
    chosen,
    form_of,
    function_of,
    inline,
    instructions,
    limit_of,
    object_of,
    parts_of,
    sound_of,
    stops,
    tools_of,
    turns,
    url_of,
)
from services.llm.wires.wire import WireCannot

_SAMPLING = {"temperature": "temperature", "top_p": "topP"}
_SILENT = frozenset((
    "model", "messages", "stream", "stream_options", "stop", "tools", "tool_choice", "parallel_tool_calls", "user",
    "max_tokens", "max_completion_tokens", "max_output_tokens", "max_new_tokens", "seed", "prompt_cache_key",
    "safety_identifier", "presence_penalty", "frequency_penalty", "reasoning_effort", "logprobs", "top_logprobs",
    "verbosity", "n", "service_tier", "response_format", "metadata", "store", "continue_final_message",
    "add_generation_prompt",
    *_SAMPLING,
))  # fmt: skip
"""Fields that are seen to, or that the API has no place for and whose absence changes no form."""
_CHOICES: Mapping[str, dict[str, Any]] = {"auto": {"auto": {}}, "required": {"any": {}}}


def converse_request(body: Mapping[str, Any]) -> dict[str, Any]:
    """Raises WireCannot."""
    if "functions" in body:
        raise WireCannot("functions: give tools", "functions")
    said = turns(body["messages"], "assistant", _blocks)
    made: dict[str, Any] = {"messages": [{"role": role, "content": blocks} for role, blocks in said]}
    if told := instructions(body["messages"]):
        made["system"] = [{"text": one} for one in told]
    config = {name: body[given] for given, name in _SAMPLING.items() if body.get(given) is not None}
    if (most := limit_of(body)) is not None:
        config["maxTokens"] = most
    if stop := stops(body):
        config["stopSequences"] = stop
    if config:
        made["inferenceConfig"] = config
    made |= _tools(body) | _form(body.get("response_format"))
    # What a model takes beside, such as `thinking` and `top_k`, has a place of its own.
    if more := {name: value for name, value in body.items() if name not in _SILENT and value is not None}:
        made["additionalModelRequestFields"] = more
    return made


def _tools(body: Mapping[str, Any]) -> dict[str, Any]:
    """The API has no word for tools that must not be called: they are left out, where nothing said refers to them."""
    choice = body.get("tool_choice") or "auto"
    tools = tools_of(body)
    if not tools:
        return {}
    if choice == "none":
        if any(map(calls_of, body["messages"])):
            raise WireCannot("tool_choice: none after a call of a tool", "tool_choice")
        return {}
    chose = _CHOICES.get(choice) if isinstance(choice, str) else None
    config = {"tools": [_tool(tool) for tool in tools], "toolChoice": chose or {"tool": {"name": chosen(choice)}}}
    return {"toolConfig": config}


def _tool(tool: Any) -> dict[str, Any]:
    function = function_of(tool)
    described = {"description": function["description"]} if function.get("description") else {}
    schema = function.get("parameters") or {"type": "object", "properties": {}}
    return {"toolSpec": {"name": function.get("name") or "", **described, "inputSchema": {"json": schema}}}


def _form(form: Any) -> dict[str, Any]:
    kind, schema = form_of(form)
    if kind == "text":
        return {}
    if kind == "json_object":
        raise WireCannot(f"a response_format of the type {kind!r}", "response_format")
    given = {"schema": orjson.dumps(schema).decode(), "name": form["json_schema"].get("name") or "answer"}
    return {"outputConfig": {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": given}}}}


def _blocks(message: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    content = message.get("content")
    if message.get("role") in ("tool", "function"):
        result = list(_parts(content)) or [{"text": "(nothing)"}]
        yield {"toolResult": {"toolUseId": message.get("tool_call_id") or "", "content": result}}
        return
    yield from _parts(content)
    for call in calls_of(message):
        function = call.get("function") or {}
        given = object_of(function.get("arguments"))
        yield {"toolUse": {"toolUseId": call.get("id") or "", "name": function.get("name") or "", "input": given}}


def _parts(content: Any) -> Iterator[dict[str, Any]]:
    """The API refuses a text that is empty."""
    for part in parts_of(content):
        match part.get("type"):
            case "text" | "refusal" as kind:
                if part.get(kind):
                    yield {"text": part[kind]}
            case "image_url":
                if (data := inline(url_of(part.get("image_url")))) is None:
                    raise WireCannot("a picture by its URL: give it as data", "messages")
                yield {"image": {"format": data[0].removeprefix("image/"), "source": {"bytes": data[1]}}}
            case "input_audio":
                form, sound = sound_of(part)
                yield {"audio": {"format": form, "source": {"bytes": sound}}}
            case kind:
                raise WireCannot(f"a part of the type {kind!r}", "messages")
