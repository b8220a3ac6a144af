"""A chat completion as Ollama's /api/chat has it. Pure."""

from collections.abc import Mapping
from typing import Any

from services.llm.wires.chat_body import (
    INSTRUCTING,
    calls_of,
    form_of,
    function_of,
    inline,
    limit_of,
    names_of_calls,
    object_of,
    parts_of,
    stops,
    tools_of,
    url_of,
)
from services.llm.wires.wire import WireCannot

_OPTIONS = ("temperature", "top_p", "top_k", "min_p", "seed", "presence_penalty", "frequency_penalty")
_AS_THEY_ARE = ("think", "keep_alive", "logprobs", "top_logprobs")
_EFFORTS = ("low", "medium", "high")


def chat_request(body: Mapping[str, Any], context: int) -> dict[str, Any]:
    """`context`: tokens that the model is to keep; 0 for the server's default. A prompt that is longer is to be refused
    rather than cut, which older servers do not know. Raises WireCannot."""
    if "functions" in body:
        raise WireCannot("functions: give tools", "functions")
    names = names_of_calls(body["messages"])
    made: dict[str, Any] = {
        "model": body["model"],
        "messages": [_message(one, names) for one in body["messages"]],
        "stream": bool(body.get("stream")),
        "truncate": False,
        "shift": False,
    }
    options = {name: body[name] for name in _OPTIONS if body.get(name) is not None}
    if context:
        options["num_ctx"] = context
    if (most := limit_of(body)) is not None:
        options["num_predict"] = most
    if stop := stops(body):
        options["stop"] = stop
    if options:
        made["options"] = options
    made |= {name: body[name] for name in _AS_THEY_ARE if body.get(name) is not None}
    if body.get("reasoning_effort") in _EFFORTS:
        made.setdefault("think", body["reasoning_effort"])
    elif body.get("reasoning_effort") == "none":
        made.setdefault("think", False)
    return made | _tools(body) | _form(body.get("response_format"))


def _tools(body: Mapping[str, Any]) -> dict[str, Any]:
    """The API has no tool_choice: a model may call what it is told of."""
    choice = body.get("tool_choice") or "auto"
    tools = tools_of(body)
    if not tools or choice == "none":
        return {}
    if choice != "auto":
        raise WireCannot("a tool that must be called", "tool_choice")
    for tool in tools:
        function_of(tool)
    return {"tools": tools}


def _form(form: Any) -> dict[str, Any]:
    kind, schema = form_of(form)
    return {} if kind == "text" else {"format": schema or "json"}


def _message(message: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    role = message.get("role")
    texts, pictures = list[str](), list[str]()
    for part in parts_of(message.get("content")):
        match part.get("type"):
            case "text" | "refusal" as kind:
                texts.append(str(part.get(kind) or ""))
            case "image_url":
                if (data := inline(url_of(part.get("image_url")))) is None:
                    raise WireCannot("a picture by its URL: give it as data", "messages")
                pictures.append(data[1])
            case kind:
                raise WireCannot(f"a part of the type {kind!r}", "messages")
    made: dict[str, Any] = {"role": "system" if role in INSTRUCTING else role, "content": "\n".join(texts)}
    if pictures:
        made["images"] = pictures
    if calls := calls_of(message):
        functions = [call.get("function") or {} for call in calls]
        made["tool_calls"] = [
            {"function": {"name": one.get("name") or "", "arguments": object_of(one.get("arguments"))}}
            for one in functions
        ]
    if role in ("tool", "function"):
        identifier = str(message.get("tool_call_id") or "")
        made |= {"role": "tool", "tool_name": names.get(identifier) or message.get("name") or ""}
    return made
