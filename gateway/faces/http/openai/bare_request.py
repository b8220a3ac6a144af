"""A chat completion's JSON body to the request of a bare model."""

from headworks.orchestrator.v1 import generation_pb2

from gateway.calls.bare_request import CHOICES, LENGTHS, BareRequest
from gateway.calls.prompt_use import PromptUse
from gateway.faces.http.openai import fields, messages, sampling
from gateway.faces.http.openai.errors import BadRequest
from services.llm.chat import Priority
from services.llm.openai.chunks import Json

MOST_CHOICES = 128
MOST_TOKENS = (1 << 31) - 1


def parse(body: Json, *, translated: bool = False, prompt: PromptUse | None = None) -> BareRequest:
    """`translated` and `prompt`: see BareRequest. Raises BadRequest, naming the field."""
    for name in CHOICES:
        fields.integer(body, name, 1, MOST_CHOICES)
    for name in LENGTHS:
        fields.integer(body, name, 0 if name == "min_tokens" else 1, MOST_TOKENS)
    for index, message in enumerate(messages.entries(body, beside=prompt is not None)):
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise BadRequest(f"messages[{index}] must be an object with a role", f"messages[{index}]")
    options = fields.mapping(body, "stream_options")
    asked = BareRequest(
        body if prompt is None else body | {"messages": body.get("messages") or []},
        fields.text(body, "model"),
        fields.flag(body, "stream"),
        fields.flag(options, "include_usage", "stream_options."),
        translated=translated,
    )
    asked.prompt = prompt
    if prompt is not None and not asked.body["messages"] and not prompt.asks:
        raise BadRequest("messages must end with a user's: the prompt alone asks nothing", "messages")
    if sampling.priority(body) == generation_pb2.PRIORITY_BATCH:
        asked.priority = Priority.BATCH
    return asked
