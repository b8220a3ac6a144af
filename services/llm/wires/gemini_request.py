"""A chat completion as Gemini's generateContent has it. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from services.llm.wires.wire import EXTRA, WireCannot, limit_of, text_of

_INSTRUCTING = ("system", "developer")
_MODES = {"auto": "AUTO", "none": "NONE", "required": "ANY"}
_SAMPLING = {
    "temperature": "temperature", "top_p": "topP", "top_k": "topK", "seed": "seed", "n": "candidateCount",
    "presence_penalty": "presencePenalty", "frequency_penalty": "frequencyPenalty",
}  # fmt: skip
SIGNATURE = "thought_signature"


def content_request(body: Mapping[str, Any]) -> dict[str, Any]:
    """Raises WireCannot."""
    if "functions" in body:
        raise WireCannot("functions: give tools", "functions")
    told = [text_of(one.get("content")) for one in body["messages"] if one.get("role") in _INSTRUCTING]
    made: dict[str, Any] = {"contents": list(_turns(body["messages"]))}
    if told := [one for one in told if one]:
        made["systemInstruction"] = {"parts": [{"text": one} for one in told]}
    config = {name: body[given] for given, name in _SAMPLING.items() if body.get(given) is not None}
    if (most := limit_of(body)) is not None:
        config["maxOutputTokens"] = most
    if stop := body.get("stop"):
        config["stopSequences"] = [stop] if isinstance(stop, str) else list(stop)
    config |= _form(body.get("response_format"))
    if config:
        made["generationConfig"] = config
    if tools := body.get("tools"):
        made["tools"] = [{"functionDeclarations": [_tool(tool) for tool in tools]}]
        made["toolConfig"] = {"functionCallingConfig": _choice(body.get("tool_choice") or "auto")}
    return made


def _turns(messages: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Users and models in turn. Results of tools are named by the call that they answer."""
    names: dict[str, str] = {}
    role, parts = "", list[dict[str, Any]]()
    for message in messages:
        if message.get("role") in _INSTRUCTING:
            continue
        own = "model" if message.get("role") == "assistant" else "user"
        if own != role and parts:
            yield {"role": role, "parts": parts}
            parts = []
        role = own
        for call in message.get("tool_calls") or ():
            names[call.get("id") or ""] = (call.get("function") or {}).get("name") or ""
        parts = [*parts, *_parts(message, names)]
    if parts:
        yield {"role": role, "parts": parts}


def _parts(message: Mapping[str, Any], names: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    content = message.get("content")
    if message.get("role") in ("tool", "function"):
        identifier = message.get("tool_call_id") or ""
        name = names.get(identifier) or message.get("name") or ""
        yield {"functionResponse": {"name": name, "response": _response(text_of(content))}}
        return
    yield from _said(content)
    for call in message.get("tool_calls") or ():
        function = call.get("function") or {}
        part: dict[str, Any] = {
            "functionCall": {"name": function.get("name") or "", "args": _object(function.get("arguments"))}
        }
        extra = call.get(EXTRA)
        google = extra.get("google") if isinstance(extra, dict) else None
        if isinstance(google, dict) and google.get(SIGNATURE):
            part["thoughtSignature"] = google[SIGNATURE]
        yield part


def _said(content: Any) -> Iterator[dict[str, Any]]:
    for part in content if isinstance(content, list) else [content]:
        if isinstance(part, str):
            part = {"type": "text", "text": part}
        if not isinstance(part, dict):
            continue
        match part.get("type"):
            case "text" | "refusal" as kind:
                if part.get(kind):
                    yield {"text": part[kind]}
            case "image_url":
                yield _media(part.get("image_url"))
            case "input_audio":
                sound = part.get("input_audio") or {}
                yield {"inlineData": {"mimeType": f"audio/{sound.get('format') or 'wav'}", "data": sound.get("data")}}
            case kind:
                raise WireCannot(f"a part of the type {kind!r}", "messages")


def _media(image: Any) -> dict[str, Any]:
    url = image.get("url") if isinstance(image, dict) else image
    if not isinstance(url, str):
        raise WireCannot("an image without a URL", "messages")
    if not url.startswith("data:"):
        return {"fileData": {"fileUri": url, "mimeType": "image/*"}}
    head, _, data = url.removeprefix("data:").partition(",")
    return {"inlineData": {"mimeType": head.partition(";")[0] or "image/png", "data": data}}


def _tool(tool: Any) -> dict[str, Any]:
    function = tool.get("function") if isinstance(tool, dict) else None
    if not isinstance(function, dict):
        raise WireCannot("a tool that is no function", "tools")
    described = {"description": function["description"]} if function.get("description") else {}
    schema = {"parametersJsonSchema": function["parameters"]} if function.get("parameters") else {}
    return {"name": function.get("name") or "", **described, **schema}


def _choice(choice: Any) -> dict[str, Any]:
    if isinstance(choice, str) and choice in _MODES:
        return {"mode": _MODES[choice]}
    function = choice.get("function") if isinstance(choice, dict) else None
    if not isinstance(function, dict) or not function.get("name"):
        raise WireCannot("this tool_choice", "tool_choice")
    return {"mode": "ANY", "allowedFunctionNames": [function["name"]]}


def _form(form: Any) -> dict[str, Any]:
    kind = form.get("type") if isinstance(form, dict) else None
    if kind in (None, "text"):
        return {}
    if kind == "json_object":
        return {"responseMimeType": "application/json"}
    schema = (form.get("json_schema") or {}).get("schema") if kind == "json_schema" else None
    if not isinstance(schema, dict):
        raise WireCannot(f"a response_format of the type {kind!r}", "response_format")
    return {"responseMimeType": "application/json", "responseJsonSchema": schema}


def _object(arguments: Any) -> dict[str, Any]:
    try:
        value = orjson.loads(arguments or "{}")
    except (orjson.JSONDecodeError, TypeError):
        return {}
    return value if isinstance(value, dict) else {}


def _response(text: str) -> dict[str, Any]:
    """The API wants an object."""
    return _object(text) or {"result": text}
