"""A chat completion's JSON body to a run request."""

from dataclasses import dataclass

from headworks.orchestrator.v1 import orchestrator_service_pb2 as pb
from headworks.orchestrator.v1 import run_pb2

from gateway.openai import fields
from gateway.openai.errors import BadRequest
from gateway.openai.fields import Json

ROLES = {
    "system": run_pb2.Message.ROLE_SYSTEM,
    "developer": run_pb2.Message.ROLE_SYSTEM,
    "user": run_pb2.Message.ROLE_USER,
    "assistant": run_pb2.Message.ROLE_ASSISTANT,
}
MOST_MESSAGES = 1000
# What would change the answer's form if it were obeyed. Sampling parameters have no meaning for quotes and are ignored.
REFUSED = ("tools", "functions", "response_format", "audio", "logprobs")


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """What is asked, and in which form the answer goes out."""

    run: pb.RunRequest
    stream: bool
    include_usage: bool


def parse(data: bytes) -> ChatRequest:
    """Raises BadRequest, naming the field."""
    body = fields.parse(data)
    _refuse(body)
    metadata = fields.mapping(body, "metadata")
    collection = metadata.get("collection", "")
    if not isinstance(collection, str):
        raise BadRequest("metadata.collection must be a string", "metadata.collection")
    run = pb.RunRequest(model=fields.text(body, "model"), messages=_messages(body), collection=collection)
    options = fields.mapping(body, "stream_options")
    return ChatRequest(run, fields.flag(body, "stream"), fields.flag(options, "include_usage", "stream_options."))


def _refuse(body: Json) -> None:
    if body.get("n") not in (None, 1):
        raise BadRequest("n must be 1", "n")
    for name in REFUSED:
        value = body.get(name)
        if value and value != {"type": "text"}:
            raise BadRequest(f"{name} is not supported by this model", name)


def _messages(body: Json) -> list[run_pb2.Message]:
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise BadRequest("messages must be a list that is not empty", "messages")
    if len(messages) > MOST_MESSAGES:
        raise BadRequest(f"messages has {len(messages)} entries; the most is {MOST_MESSAGES}", "messages")
    return [_message(message, f"messages[{index}]") for index, message in enumerate(messages)]


def _message(message: object, path: str) -> run_pb2.Message:
    if not isinstance(message, dict):
        raise BadRequest(f"{path} must be an object", path)
    role = message.get("role")
    if not isinstance(role, str) or role not in ROLES:
        raise BadRequest(f"{path}.role must be one of {', '.join(ROLES)}", f"{path}.role")
    return run_pb2.Message(role=ROLES[role], content=_content(message.get("content"), f"{path}.content"))


def _content(content: object, path: str) -> str:
    """A string, or a list of text parts."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise BadRequest(f"{path} must be a string or a list of text parts", path)
    parts = [part.get("text") if isinstance(part, dict) and part.get("type") == "text" else None for part in content]
    if not all(isinstance(part, str) for part in parts):
        raise BadRequest(f"{path} may hold parts of type text only", path)
    return "\n".join(str(part) for part in parts)
