"""Which of a caller's fields go on to an upstream: those that change no price and no route, and what the operator adds.

A field that is not let through is refused. Only one that says nothing is left out, for its absence says the same.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from services.llm.catalogue.entry import ANY_FIELD, CatalogueEntry
from services.llm.openai.chunks import Json
from services.llm.wires.prompt_cache import MARK
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
SAFE_WITHIN: Mapping[str, Collection[str]] = {
    "stream_options": ("include_usage", "include_obfuscation"),
    "chat_template_kwargs": (
        "enable_thinking", "thinking", "thinking_budget", "thinking_mode", "reasoning_effort", "preserve_thinking",
        "clear_thinking",
    ),
    "reasoning": ("effort", "max_tokens", "exclude", "enabled", "summary", "generate_summary"),
    "thinking": ("type", "budget_tokens", "display", "clear_thinking"),
    "prediction": ("type", "content"),
    "response_format": ("type", "json_schema", "schema", "grammar", "regex", "pattern", "structures", "triggers"),
    "tool_choice": ("type", "function", "custom", "name", "allowed_tools"),
    "function_call": ("name",),
    "tools": ("type", "function", "custom", MARK),
    "tools.function": ("name", "description", "parameters", "strict"),
    "tools.custom": ("name", "description", "format"),
    "functions": ("name", "description", "parameters", "strict"),
}  # fmt: skip
"""What may be within them, or within each item of their lists: an upstream may read there what it reads outside."""
# The same by the outermost field.
_WITHIN = {
    name: [(path.split("."), safe) for path, safe in SAFE_WITHIN.items() if path.partition(".")[0] == name]
    for name in {path.partition(".")[0] for path in SAFE_WITHIN}
}
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
OURS = frozenset(("priority",))
"""What this side reads itself."""
HARMLESS = frozenset(("metadata", "store", "prompt_cache_retention", "prompt_cache_options"))
"""They bear on what a provider keeps of the call, not on its answer: they stay here."""


PROMPTS = frozenset(("prompt", "prompt_id", "prompt_variables", "prompt_version"))
"""By which other servers name a prompt."""


class FieldNotAllowed(InvalidArgument):
    """A field that the model's operator does not let through to its upstream."""

    reason = "FIELD_NOT_ALLOWED"

    def __init__(self, model: str, name: str, param: str = "") -> None:
        help_ = f"its operator may allow it by `passes: [{name}]` in the catalogue"
        if name in PROMPTS:
            help_ = 'name a prompt by `headworks: {"prompt": {"name": "NAME@VERSION", "variables": {}}}`'
        super().__init__(f"{param or name} does not go on to the model {model!r}: {help_}", param=param or name)


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
        if not (name in HARMLESS or name in OURS or idle(name, body[name])):
            raise FieldNotAllowed(entry.name, name)
        del body[name]
    for name in body.keys() & _WITHIN.keys():
        if name not in allowed:
            for path, safe in _WITHIN[name]:
                _restrict_within(body, path, "", safe, entry)
    _check_tools(body, entry)


def _restrict_within(
    holder: Json, path: Sequence[str], before: str, safe: Collection[str], entry: CatalogueEntry
) -> None:
    """The same of the objects at a path: of the field itself, and of each item where it is a list."""
    name, *more = path
    value = holder.get(name)
    items = enumerate(value) if isinstance(value, list) else [(None, value)]
    for place, item in items:
        if not isinstance(item, dict):
            continue
        here = f"{before}{name}" if place is None else f"{before}{name}[{place}]"
        if more:
            _restrict_within(item, more, f"{here}.", safe, entry)
            continue
        for field in [field for field in item if field not in safe and field not in entry.passes]:
            if not idle(field, item[field]):
                raise FieldNotAllowed(entry.name, field, f"{here}.{field}")
            del item[field]


def _check_tools(body: Json, entry: CatalogueEntry) -> None:
    """Raises FieldNotAllowed for a tool of a type that is none of the caller's."""
    tools = body.get("tools")
    for index, tool in enumerate(tools if isinstance(tools, list) else ()):
        kind = tool.get("type") if isinstance(tool, dict) else None
        if kind is not None and not (isinstance(kind, str) and (kind in SAFE_TOOLS or kind in entry.passes)):
            raise FieldNotAllowed(entry.name, str(kind), f"tools[{index}]")
