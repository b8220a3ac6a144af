"""Which of a caller's fields go on to an upstream: those that change no price and no route, and what the operator adds.

A field that is not let through is refused. Only one that says nothing is left out, for its absence says the same.
"""

from collections.abc import Collection, Mapping
from typing import Any

from services.llm.catalogue.entry import ANY_FIELD, CatalogueEntry
from services.llm.openai.chunks import Json
from services.runtime.errors import InvalidArgument

SAFE = frozenset(
    (
        "model", "messages", "stream", "stream_options",
        "temperature", "top_p", "top_k", "min_p", "top_a", "stop", "seed", "logit_bias",
        "presence_penalty", "frequency_penalty", "repetition_penalty",
        "max_tokens", "max_completion_tokens", "max_output_tokens", "max_new_tokens",
        "logprobs", "top_logprobs", "response_format", "verbosity",
        "tools", "tool_choice", "parallel_tool_calls", "functions", "function_call",
        "reasoning_effort", "reasoning", "thinking", "enable_thinking", "include_reasoning", "chat_template_kwargs",
        "prediction", "user", "safety_identifier", "prompt_cache_key",
    )
)  # fmt: skip
"""They bear on this answer alone: how it is written, how long it is, and what it may call."""
SAFE_TOOLS = frozenset(("function", "custom"))
"""Tools that the caller runs; those of an upstream cost what no token counts."""
SAFE_OPTIONS = frozenset(("include_usage", "include_obfuscation"))
DEFAULTS: Mapping[str, Collection[Any]] = {
    "n": (1,),
    "best_of": (1,),
    "length_penalty": (1,),
    "modalities": (["text"],),
    "service_tier": ("auto", "default"),
    "skip_special_tokens": (True,),
    "spaces_between_special_tokens": (True,),
    "add_generation_prompt": (True,),
    "truncation": ("disabled",),
}
"""Values that are what an upstream does by itself."""
HARMLESS = frozenset(("metadata", "store"))
"""They bear on what a provider keeps of the call, not on its answer: they stay here."""


class FieldNotAllowed(InvalidArgument):
    """A field that the model's operator does not let through to its upstream."""

    reason = "FIELD_NOT_ALLOWED"

    def __init__(self, model: str, name: str, param: str = "") -> None:
        super().__init__(
            f"{param or name} does not go on to the model {model!r}: its operator may allow it by `passes: [{name}]` "
            "in the catalogue",
            param=param or name,
        )


EMPTY = frozenset(("logit_bias", "metadata", "stream_options", "chat_template_kwargs"))
"""Of other fields an empty object says something: `web_search_options: {}` switches a search on."""


def idle(name: str, value: Any) -> bool:
    """Whether a field says nothing that its absence does not."""
    if isinstance(value, dict) and not value:
        return name in EMPTY
    return not value or value in DEFAULTS.get(name, ())


def restrict(body: Json, entry: CatalogueEntry) -> None:
    """Take out of a body what does not go on to the upstream of `entry`. Raises FieldNotAllowed."""
    allowed = entry.passes
    if ANY_FIELD in allowed:
        return
    for name in [name for name in body if name not in SAFE and name not in allowed]:
        if not (name in HARMLESS or idle(name, body[name])):
            raise FieldNotAllowed(entry.name, name)
        del body[name]
    _check_tools(body, entry)
    _check_options(body, entry)


def _check_tools(body: Json, entry: CatalogueEntry) -> None:
    tools = body.get("tools")
    for index, tool in enumerate(tools if isinstance(tools, list) else ()):
        kind = tool.get("type") if isinstance(tool, dict) else None
        if isinstance(kind, str) and kind not in SAFE_TOOLS and kind not in entry.passes:
            raise FieldNotAllowed(entry.name, kind, f"tools[{index}]")


def _check_options(body: Json, entry: CatalogueEntry) -> None:
    options = body.get("stream_options")
    for name, value in (options if isinstance(options, dict) else {}).items():
        if name not in SAFE_OPTIONS and name not in entry.passes and value:
            raise FieldNotAllowed(entry.name, name, f"stream_options.{name}")
