"""A chat completion's JSON body to the request of a bare model."""

from gateway.calls.bare_request import LENGTHS, BareRequest
from gateway.faces.http.openai import fields, messages
from gateway.faces.http.openai.errors import BadRequest
from services.llm.openai.chunks import Json


def parse(body: Json) -> BareRequest:
    """Raises BadRequest, naming the field."""
    if body.get("n") not in (None, 1):
        raise BadRequest("n must be 1", "n")
    for name in LENGTHS:
        fields.integer(body, name, 1, (1 << 31) - 1)
    for index, message in enumerate(messages.entries(body)):
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise BadRequest(f"messages[{index}] must be an object with a role", f"messages[{index}]")
    options = fields.mapping(body, "stream_options")
    return BareRequest(
        body,
        fields.text(body, "model"),
        fields.flag(body, "stream"),
        fields.flag(options, "include_usage", "stream_options."),
    )
