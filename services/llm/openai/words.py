"""The values that are OpenAI's API's own where they stand, and say nothing of a caller's or a model's. Pure."""

import re
from typing import Any

_ENDS = {
    "stop": (
        "end_turn", "stop_sequence", "eos", "eos_token", "stop_token", "load", "unload", "complete", "STOP", "COMPLETE",
    ),
    "length": (
        "max_tokens", "max_output_tokens", "model_length", "MAX_TOKENS", "repetition", "abort", "cancelled", "error",
        "insufficient_system_resource", "network_error", "pause_turn",
    ),
    "tool_calls": ("tool_use",),
    "function_call": (),
    "content_filter": ("refusal", "recitation", "safety", "sensitive", "SAFETY", "RECITATION"),
}  # fmt: skip
FINISHES = {word: reason for reason, words in _ENDS.items() for word in (reason, *words)}
"""OpenAI's word for why an answer has ended, by that of its upstream. What was broken off is too short."""
OTHER_FINISH = "stop"
"""That of an answer whose upstream has a word of its own for its end."""
CHOICE = frozenset((
    "index", "delta", "message", "text", "logprobs", "finish_reason", "stop_reason", "native_finish_reason",
    "matched_stop", "content_filter_results", "token_ids", "prompt_token_ids", "seed", "error",
))  # fmt: skip
"""Names of a choice's fields."""
HEAD = frozenset((
    "id", "object", "created", "model", "system_fingerprint", "service_tier", "usage", "provider", "obfuscation",
    "citations", "prompt_filter_results", "x_groq", "timings", "error", "kv_transfer_params", "prompt_logprobs",
    "choices", "moderation",
))  # fmt: skip
"""Names of the fields beside the choices."""
SILENT = frozenset((
    "id", "object", "created", "model", "system_fingerprint", "service_tier", "provider", "obfuscation", "choices",
))  # fmt: skip
"""Of these, those that say nothing beside choices that are none."""
USAGE = frozenset((
    "prompt_tokens", "completion_tokens", "total_tokens", "cached_tokens", "reasoning_tokens", "audio_tokens",
    "text_tokens", "image_tokens", "video_tokens", "input_tokens", "output_tokens", "cache_creation_input_tokens",
    "cache_read_input_tokens", "cache_write_tokens", "accepted_prediction_tokens", "rejected_prediction_tokens",
    "prompt_cache_hit_tokens", "prompt_cache_miss_tokens", "num_search_queries", "num_sources_used", "citation_tokens",
    "prompt_tokens_details", "completion_tokens_details", "input_tokens_details", "output_tokens_details",
    "cost_details", "cost", "is_byok", "upstream_inference_cost", "upstream_inference_prompt_cost",
    "upstream_inference_completions_cost", "input_cost", "output_cost", "total_cost", "queue_time", "prompt_time",
    "completion_time", "total_time", "prompt_audio_seconds",
))  # fmt: skip
"""Names of a usage's numbers, and of the objects that they are in."""
_OBJECTS = frozenset(("chat.completion", "chat.completion.chunk", "text_completion"))
_TIERS = frozenset((
    "auto", "default", "flex", "priority", "scale", "standard", "standard_only", "batch", "on_demand", "performance",
))  # fmt: skip
# As keys and numbers of cards are.
_NO_ID = r"(?!.*(?:[A-Z0-9]{16}|\d{13}))"
_ID = re.compile(
    rf"{_NO_ID}(?:(?:chatcmpl|chat|cmpl|gen|resp|msg|req|run|fp)[-_:][\w.-]{{1,96}}|[0-9a-f]{{24,64}}"
    r"|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})",
    re.ASCII,
)
_MODEL = re.compile(rf"{_NO_ID}[A-Za-z0-9][\w.:/+-]{{0,127}}", re.ASCII)
_PADDING = re.compile(r"[A-Za-z0-9]{1,64}")
_MARK = re.compile(r"[\w.:/-]{1,64}", re.ASCII)
_MARKS = frozenset(("id", "tool_call_id", "call_id", "item_id", "response_id", "system_fingerprint"))
_LATEST = 4_000_000_000_000
"""In milliseconds; a number of as many digits may be a card's from there on."""


def is_own(key: str, value: Any) -> bool:
    """Whether a field beside the choices has a value that is the API's own."""
    if key == "created":
        return isinstance(value, int | float) and 0 <= value < _LATEST
    if not isinstance(value, str):
        return False
    if not value:
        return key in ("id", "object", "model", "system_fingerprint", "service_tier")
    match key:
        case "id" | "system_fingerprint":
            return _ID.fullmatch(value) is not None
        case "object":
            return value in _OBJECTS
        case "model":
            return _MODEL.fullmatch(value) is not None
        case "service_tier":
            return value in _TIERS
    return False


def is_mark(key: Any, value: str) -> bool:
    """Whether it is an id, or the padding of a chunk, as servers write them: no model has."""
    if key in _MARKS:
        return _MARK.fullmatch(value) is not None
    return key == "obfuscation" and _PADDING.fullmatch(value) is not None
