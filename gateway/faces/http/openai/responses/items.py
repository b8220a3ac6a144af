"""The items of a response's input to the messages of a chat completion.

What an assistant thought, said and called, one behind the other, is one message.
"""

from collections.abc import Sequence
from typing import Any

from gateway.faces.http.openai import fields, parts
from gateway.faces.http.openai.errors import BadRequest
from gateway.faces.http.openai.responses import tools
from services.llm.openai.chunks import Json
from services.llm.openai.request import BESIDE, REASONING

_ROLES = ("user", "system", "developer", "assistant")
_TEXTS = ("input_text", "output_text", "text")
# What does not go on bears on the item itself, or on OpenAI's cache.
_ITEM = ("type", "id", "status")
_MESSAGE = (*_ITEM, "role", "content", "phase")
_CALL = (*_ITEM, "call_id", "name", "namespace", "arguments", "input", "parsed_arguments", *BESIDE)
_RESULT = (*_ITEM, "call_id", "output", "name", "namespace")
_THOUGHT = (*_ITEM, "summary", "content", "encrypted_content")
_PART = ("type", "text", "annotations", "logprobs", "prompt_cache_breakpoint", "parsed")
MOST_ITEMS = 3000
"""They make fewer messages, of which a chat completion has its own most: calls and thoughts go into an assistant's."""
SEEN_BELOW = "What the tool gives back is in the next message."


class _Messages:
    """Messages under way. `told`: what instructs at the beginning. `thought`: what goes with the calls that follow."""

    def __init__(self) -> None:
        self.made: list[Json] = []
        self._told: list[Json] = []
        self._shown: list[Json] = []
        self._thought: list[str] = []

    def say(self, role: str, content: Any) -> None:
        """A message of its own; but what instructs at the beginning is one: many models take no other, and not by the
        name of developer."""
        self._show()
        if role != "assistant":
            self._thought = []
        role = "system" if role == "developer" else role
        told = _texts(content) if role == "system" and len(self.made) < 2 else []
        if self.made and told and self._told:
            self._told += [parts.of(""), *told]
            self.made[0]["content"] = self._told
            return
        if not self.made:
            self._told = told
        self.made.append({"role": role, "content": content})

    def think(self, thought: str) -> None:
        """What was thought before what follows."""
        if thought:
            self._thought.append(thought)

    def call(self, call: Json) -> None:
        """A call, in the assistant's message where that is the last."""
        if not self.made or self.made[-1]["role"] != "assistant":
            self.say("assistant", None)
        message = self.made[-1]
        message.setdefault("tool_calls", []).append(call)
        if self._thought:
            message[REASONING], self._thought = "\n".join(self._thought), []

    def result(self, call_id: str, content: Any, shown: Sequence[Json]) -> None:
        """What a tool gave; what cannot stand in its message is shown by the user, after all results."""
        self.made.append({"role": "tool", "tool_call_id": call_id, "content": content})
        self._shown += shown

    def end(self) -> list[Json]:
        """All of them."""
        self._show()
        return self.made

    def _show(self) -> None:
        if self._shown:
            self.made.append({"role": "user", "content": self._shown})
            self._shown = []


def messages(body: Json) -> list[Json]:
    """The messages, the instructions first. Raises BadRequest, naming the field."""
    told = fields.maybe_text(body, "instructions")
    under_way = _Messages()
    if told:
        under_way.say("system", told)
    given = body.get("input")
    if isinstance(given, str) and given:
        under_way.say("user", given)
    elif isinstance(given, list) and given:
        if len(given) > MOST_ITEMS:
            raise BadRequest(f"input has {len(given)} entries; the most is {MOST_ITEMS}", "input")
        parts.check(given, "input")
        for place, item in enumerate(given):
            _take(under_way, item, f"input[{place}]")
    else:
        raise BadRequest("input must be a string or a list of items, and not empty", "input")
    return under_way.end()


def _take(under_way: _Messages, item: object, path: str) -> None:
    if not isinstance(item, dict):
        raise BadRequest(f"{path} must be an object", path)
    match item.get("type", "message"):
        case "message":
            fields.known(item, _MESSAGE, f"{path}.")
            role = item.get("role")
            if role not in _ROLES:
                raise BadRequest(f"{path}.role must be one of {', '.join(_ROLES)}", f"{path}.role")
            under_way.say(role, parts.content(_parts(item.get("content"), f"{path}.content")))
        case "function_call" | "custom_tool_call":
            fields.known(item, _CALL, f"{path}.")
            under_way.call(_call(item, path))
        case "function_call_output" | "custom_tool_call_output":
            fields.known(item, _RESULT, f"{path}.")
            under_way.result(fields.text(item, "call_id", f"{path}."), *_result(item.get("output"), f"{path}.output"))
        case "reasoning":
            fields.known(item, _THOUGHT, f"{path}.")
            under_way.think(_thought(item, path))
        case kind:
            raise BadRequest(f"{path} is an item of the type {kind!r}, which is not supported here", f"{path}.type")


def _call(item: Json, path: str) -> Json:
    name, custom = fields.text(item, "name", f"{path}."), item["type"] == "custom_tool_call"
    given = fields.maybe_text(item, "input" if custom else "arguments", f"{path}.")
    return {
        **{name: value for name in BESIDE if (value := item.get(name))},
        "id": fields.text(item, "call_id", f"{path}."),
        "type": "function",
        "function": {
            "name": tools.joined(name, fields.maybe_text(item, "namespace", f"{path}.")),
            "arguments": tools.written(given) if custom else given,
        },
    }


def _result(output: Any, path: str) -> tuple[Any, list[Json]]:
    given = _parts(output, path) if output else []
    texts = [part for part in given if part["type"] == "text"]
    shown = [part for part in given if part["type"] != "text"]
    if shown and not any(part["text"] for part in texts):
        texts = [parts.of(SEEN_BELOW)]
    return parts.content(texts), shown


def _texts(content: Any) -> list[Json]:
    """A content's parts, if they are texts alone."""
    given = [parts.of(content)] if isinstance(content, str) else list(content or ())
    return given if all(part["type"] == "text" for part in given) else []


def _thought(item: Json, path: str) -> str:
    """The thoughts themselves where they are there, or their summary."""
    for name in ("content", "summary"):
        if given := fields.entries(item, name, f"{path}."):
            return "\n".join(part["text"] for part in _parts(given, f"{path}.{name}", thoughts=True))
    return ""


def _parts(content: Any, path: str, thoughts: bool = False) -> list[Json]:
    """A content as the parts of a chat message."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    if not isinstance(content, list):
        raise BadRequest(f"{path} must be a string or a list of parts", path)
    return [_part(part, f"{path}[{place}]", thoughts) for place, part in enumerate(content)]


def _part(part: object, path: str, thoughts: bool) -> Json:
    kind = part.get("type") if isinstance(part, dict) else None
    if not isinstance(part, dict) or not isinstance(kind, str):
        raise BadRequest(f"{path} must be an object with a type", path)
    if thoughts and kind in ("reasoning_text", "summary_text"):
        return {"type": "text", "text": fields.maybe_text(part, "text", f"{path}.")}
    if kind in _TEXTS:
        fields.known(part, _PART, f"{path}.")
        return {"type": "text", "text": fields.maybe_text(part, "text", f"{path}.")}
    if kind == "refusal":
        return {"type": "text", "text": fields.maybe_text(part, "refusal", f"{path}.")}
    if kind == "input_image" and part.get("image_url") and not thoughts:
        fields.known(part, ("type", "image_url", "detail", "prompt_cache_breakpoint"), f"{path}.")
        detail = fields.maybe_text(part, "detail", f"{path}.")
        url = fields.text(part, "image_url", f"{path}.")
        return {"type": "image_url", "image_url": {"url": url, **({"detail": detail} if detail else {})}}
    if kind == "input_file" and part.get("file_data") and not thoughts:
        fields.known(part, ("type", "file_data", "filename", "prompt_cache_breakpoint"), f"{path}.")
        file = {name: fields.text(part, name, f"{path}.") for name in ("filename", "file_data") if part.get(name)}
        return {"type": "file", "file": file}
    raise BadRequest(f"{path} is a part of the type {kind!r}, which is not supported here in this form", f"{path}.type")
