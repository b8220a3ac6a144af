"""Which fields of a chat completion's body a run has a use for. Of the others none is ignored in silence that would
change the answer."""

from collections.abc import Mapping

from gateway.calls import bare_fields
from gateway.faces.http.openai.errors import BadRequest
from services.llm.openai.chunks import Json

KNOWN = frozenset(
    (
        "model", "messages", "stream", "stream_options", "metadata", "tools", "tool_choice", "parallel_tool_calls",
        "response_format", "priority", "temperature", "top_p", "top_k", "min_p", "max_tokens", "max_completion_tokens",
        "stop", "seed", "presence_penalty", "frequency_penalty", "repetition_penalty", "ignore_eos",
    )
)  # fmt: skip
HARMLESS = bare_fields.HARMLESS | {"user", "safety_identifier", "prompt_cache_key", "prediction"}
"""They bear on what a provider keeps of a call, or on how fast it is: the answer is the same without them."""
HINTS: Mapping[str, str] = {
    "functions": "is OpenAI's old form: write tools",
    "function_call": "is OpenAI's old form: write tool_choice",
    "web_search_options": "is not supported: use an agent with a search tool",
}
UNSUPPORTED = "is not supported by agents and by models that are asked through a run"


def check(body: Json) -> None:
    """Raises BadRequest for a field that would change the answer if it were obeyed, and is not."""
    if body.get("n") not in (None, 1):
        raise BadRequest("n must be 1", "n")
    for name, value in body.items():
        if name in KNOWN or name in HARMLESS or bare_fields.idle(name, value):
            continue
        raise BadRequest(f"{name} {HINTS.get(name, UNSUPPORTED)}", name)
