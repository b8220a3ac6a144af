"""The prompt that a chat completion names: `headworks: {prompt: {name, variables}}`."""

from dataclasses import dataclass

from gateway.faces.http.openai import fields
from gateway.faces.http.openai.errors import BadRequest
from services.llm.openai.chunks import Json

FIELD = "headworks"
_PATH = f"{FIELD}.prompt."


@dataclass(frozen=True, slots=True)
class NamedPrompt:
    """`name`: "name" or "name@version"; the values of its `variables` are data."""

    name: str
    variables: Json


def taken(body: Json) -> tuple[Json, NamedPrompt | None]:
    """The body without what this side reads itself, and the prompt that it names. Raises BadRequest."""
    if FIELD not in body:
        return body, None
    ours = fields.mapping(body, FIELD)
    fields.known(ours, ("prompt",), f"{FIELD}.")
    rest = {name: value for name, value in body.items() if name != FIELD}
    given = ours.get("prompt")
    if given is None:
        return rest, None
    if isinstance(given, str):
        return rest, NamedPrompt(fields.text(ours, "prompt", f"{FIELD}."), {})
    if not isinstance(given, dict):
        raise BadRequest(f"{FIELD}.prompt must be a prompt's name, or an object with one", f"{FIELD}.prompt")
    if "version" in given:
        raise BadRequest(f"{_PATH}version: write the version into the name, as NAME@VERSION", f"{_PATH}version")
    fields.known(given, ("name", "variables"), _PATH)
    return rest, NamedPrompt(fields.text(given, "name", _PATH), fields.mapping(given, "variables", _PATH))
