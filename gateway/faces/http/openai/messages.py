"""The conversation in a chat completion's body."""

from itertools import accumulate
from typing import Any

import orjson
from headworks.orchestrator.v1 import run_pb2, tool_pb2

from gateway.faces.http.openai import fields
from gateway.faces.http.openai.errors import BadRequest
from services.llm.openai.chunks import Json
from services.llm.openai.request import BESIDE, REASONING

ROLES = {
    "system": run_pb2.Message.ROLE_SYSTEM,
    "developer": run_pb2.Message.ROLE_SYSTEM,
    "user": run_pb2.Message.ROLE_USER,
    "assistant": run_pb2.Message.ROLE_ASSISTANT,
    "tool": run_pb2.Message.ROLE_TOOL,
}
_TEXTS = ("text", "input_text", "output_text")
# What a message may have in a run. Those after the first line stay here: what an assistant's answer had beside its
# text, as clients send it back, and what bears on a provider's cache; but what was thought goes on with calls of tools.
_KNOWN = frozenset((
    "role", "content", "name", "tool_calls", "tool_call_id", "refusal",
    "annotations", "reasoning_content", "reasoning", "reasoning_details", "thinking_blocks", "provider_specific_fields",
    "parsed", "headworks", "cache_control",
))  # fmt: skip
_KNOWN_CALL = frozenset(("id", "type", "function", "index", *BESIDE))
_KNOWN_FUNCTION = frozenset(("name", "arguments", "parsed_arguments"))
_KNOWN_PART = frozenset(("type", "text", "refusal", "annotations", "logprobs", "cache_control"))
MOST_MESSAGES = 1000
MOST_CALLS = 128


def entries(body: Json, *, beside: bool = False) -> list[Any]:
    """The messages as they are, one at least, unless there are others `beside` them. Raises BadRequest."""
    messages = body.get("messages")
    if beside and messages in (None, []):
        return []
    if not isinstance(messages, list) or not messages:
        raise BadRequest("messages must be a list that is not empty", "messages")
    if len(messages) > MOST_MESSAGES:
        raise BadRequest(f"messages has {len(messages)} entries; the most is {MOST_MESSAGES}", "messages")
    return messages


def parse(body: Json, *, beside: bool = False) -> list[run_pb2.Message]:
    """The messages; `beside`: see `entries`. Raises BadRequest, naming the field."""
    return [_message(message, f"messages[{index}]") for index, message in enumerate(entries(body, beside=beside))]


def seams(body: Json) -> list[list[int]]:
    """For each message where in its text one part ends and the next begins; of a body that `parse` has taken."""
    return [_seams(message) for message in body.get("messages") or ()]


def _seams(message: Json) -> list[int]:
    content = message.get("content")
    if not isinstance(content, list):
        return []
    texts = [str(_part(part, message["role"])) for part in content[:-1]]
    return [end + place for place, end in enumerate(accumulate(map(len, texts)))]


def _message(message: object, path: str) -> run_pb2.Message:
    if not isinstance(message, dict):
        raise BadRequest(f"{path} must be an object", path)
    role = message.get("role")
    if not isinstance(role, str) or role not in ROLES:
        raise BadRequest(f"{path}.role must be one of {', '.join(ROLES)}", f"{path}.role")
    if message.get("function_call"):
        raise BadRequest(f"{path}.function_call is OpenAI's old form: write tool_calls", f"{path}.function_call")
    fields.known(message, _KNOWN, f"{path}.")
    calls = _calls(message, role, path)
    made = run_pb2.Message(role=ROLES[role], tool_calls=calls, name=fields.maybe_text(message, "name", f"{path}."))
    content = message.get("content")
    if content is not None or role != "assistant":  # what an assistant said may be null, as a refusal's is
        made.content = _content(content, f"{path}.content", role)
    refusal = fields.maybe_text(message, "refusal", f"{path}.") if role == "assistant" else ""
    if refusal and not made.content:
        made.content = refusal
    if calls and isinstance(reasoning := message.get(REASONING), str):
        made.reasoning = reasoning
    if role == "tool":
        made.tool_call_id = fields.text(message, "tool_call_id", f"{path}.")
    return made


def _content(content: object, path: str, role: str) -> str:
    """A string, or a list of text parts; of an assistant also of refusals."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise BadRequest(f"{path} must be a string or a list of text parts", path)
    texts = [_part(part, role) for part in content]
    if not all(isinstance(text, str) for text in texts):
        raise BadRequest(f"{path} may hold parts of type text only", path)
    for place, part in enumerate(content):
        fields.known(part, _KNOWN_PART, f"{path}[{place}].")
    return "\n".join(str(text) for text in texts)


def _part(part: object, role: str) -> object:
    """The text of a part, None where it is none. Some clients send what they read: a part of the type output_text."""
    if not isinstance(part, dict):
        return None
    kind = part.get("type")
    if kind == "refusal" and role == "assistant":
        return part.get("refusal")
    return part.get("text") if kind in _TEXTS else None


def _calls(message: Json, role: str, path: str) -> list[tool_pb2.ToolCall]:
    """The tools that an assistant called. Their arguments may be malformed: a model wrote them."""
    calls = fields.entries(message, "tool_calls", f"{path}.")
    where = f"{path}.tool_calls"
    if calls and role != "assistant":
        raise BadRequest(f"{where} goes with the role assistant only", where)
    if len(calls) > MOST_CALLS:
        raise BadRequest(f"{where} has {len(calls)} entries; the most is {MOST_CALLS}", where)
    return [_call(call, f"{where}[{index}]") for index, call in enumerate(calls)]


def _call(call: object, path: str) -> tool_pb2.ToolCall:
    if not isinstance(call, dict):
        raise BadRequest(f"{path} must be an object", path)
    if call.get("type", "function") != "function":
        raise BadRequest(f"{path}.type must be function", f"{path}.type")
    function = fields.mapping(call, "function", f"{path}.")
    fields.known(call, _KNOWN_CALL, f"{path}.")
    fields.known(function, _KNOWN_FUNCTION, f"{path}.function.")
    beside = {name: value for name in BESIDE if (value := call.get(name))}
    return tool_pb2.ToolCall(
        beside=orjson.dumps(beside).decode() if beside else "",
        id=fields.text(call, "id", f"{path}."),
        name=fields.text(function, "name", f"{path}.function."),
        arguments=fields.maybe_text(function, "arguments", f"{path}.function."),
    )
