"""A chat completion as Gemini's generateContent has it. Pure."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from services.llm.wires.chat_body import (
    calls_of,
    chosen,
    form_of,
    function_of,
    inline,
    instructions,
    limit_of,
    names_of_calls,
    object_of,
    parts_of,
    sound_of,
    stops,
    text_of,
    tools_of,
    turns,
    url_of,
)
from services.llm.wires.wire import EXTRA, WireCannot

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
    said = turns(body["messages"], "model", partial(_parts, names_of_calls(body["messages"])))
    made: dict[str, Any] = {"contents": [{"role": role, "parts": parts} for role, parts in said]}
    if told := instructions(body["messages"]):
        made["systemInstruction"] = {"parts": [{"text": one} for one in told]}
    config = {name: body[given] for given, name in _SAMPLING.items() if body.get(given) is not None}
    if (most := limit_of(body)) is not None:
        config["maxOutputTokens"] = most
    if stop := stops(body):
        config["stopSequences"] = stop
    config |= _form(body.get("response_format"))
    if config:
        made["generationConfig"] = config
    if tools := tools_of(body):
        made["tools"] = [{"functionDeclarations": [_tool(tool) for tool in tools]}]
        made["toolConfig"] = {"functionCallingConfig": _choice(body.get("tool_choice") or "auto")}
    return made


def _parts(names: Mapping[str, str], message: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Results of tools are named by the call that they answer, by `names`."""
    content = message.get("content")
    if message.get("role") in ("tool", "function"):
        identifier = str(message.get("tool_call_id") or "")
        name = names.get(identifier) or message.get("name") or ""
        yield {"functionResponse": {"name": name, "response": _response(text_of(content))}}
        return
    yield from _said(content)
    for call in calls_of(message):
        function = call.get("function") or {}
        part: dict[str, Any] = {
            "functionCall": {"name": function.get("name") or "", "args": object_of(function.get("arguments"))}
        }
        extra = call.get(EXTRA)
        google = extra.get("google") if isinstance(extra, dict) else None
        if isinstance(google, dict) and google.get(SIGNATURE):
            part["thoughtSignature"] = google[SIGNATURE]
        yield part


def _said(content: Any) -> Iterator[dict[str, Any]]:
    for part in parts_of(content):
        match part.get("type"):
            case "text" | "refusal" as kind:
                if part.get(kind):
                    yield {"text": part[kind]}
            case "image_url":
                yield _media(part.get("image_url"))
            case "input_audio":
                form, sound = sound_of(part)
                yield {"inlineData": {"mimeType": f"audio/{form}", "data": sound}}
            case kind:
                raise WireCannot(f"a part of the type {kind!r}", "messages")


def _media(image: Any) -> dict[str, Any]:
    url = url_of(image)
    if (data := inline(url)) is None:
        return {"fileData": {"fileUri": url, "mimeType": "image/*"}}
    return {"inlineData": {"mimeType": data[0], "data": data[1]}}


def _tool(tool: Any) -> dict[str, Any]:
    function = function_of(tool)
    described = {"description": function["description"]} if function.get("description") else {}
    schema = {"parametersJsonSchema": function["parameters"]} if function.get("parameters") else {}
    return {"name": function.get("name") or "", **described, **schema}


def _choice(choice: Any) -> dict[str, Any]:
    if isinstance(choice, str) and choice in _MODES:
        return {"mode": _MODES[choice]}
    return {"mode": "ANY", "allowedFunctionNames": [chosen(choice)]}


def _form(form: Any) -> dict[str, Any]:
    kind, schema = form_of(form)
    if kind == "text":
        return {}
    return {"responseMimeType": "application/json", **({"responseJsonSchema": schema} if schema else {})}


def _response(text: str) -> dict[str, Any]:
    """The API wants an object."""
    return object_of(text) or {"result": text}
