"""OpenAI's form, restored where an upstream's answer departs from it, so that its clients can read it. Pure."""

import math
from typing import Any

Json = dict[str, Any]
_DETAILS = ("prompt_tokens_details", "completion_tokens_details")


def is_head(head: Json) -> bool:
    """Whether what stands beside the choices has the types that clients expect; what is missing or null is none."""
    created = head.get("created")
    return (
        (created is None or type(created) is int)
        and isinstance(head.get("id"), str | None)
        and isinstance(head.get("model"), str | None)
    )


def restore(value: Json, whole: bool) -> bool:
    """Mend a whole completion, or a chunk of one; whether that changed it. The usage is left to `restored_usage`."""
    changed = not is_head(value)
    if changed:
        _restore_head(value)
    if not isinstance(value.get("choices"), list):
        value["choices"] = []
        changed = True
    for place, choice in enumerate(value["choices"]):
        changed = _restore_choice(choice, place, whole) or changed
    return changed


def _restore_head(head: Json) -> None:
    for name in ("id", "model"):
        if not isinstance(given := head.get(name), str | None):
            head[name] = str(given) if isinstance(given, int | float) else None
    created = head.get("created")
    if isinstance(created, str):
        created = float(created) if created.isascii() and created.isdecimal() and len(created) < 16 else None
    head["created"] = int(created) if isinstance(created, int | float) and math.isfinite(created) else None


def _restore_choice(choice: Json, place: int, whole: bool) -> bool:
    changed = False
    if type(choice.get("index")) is not int:
        choice["index"] = place
        changed = True
    name, other = ("message", "delta") if whole else ("delta", "message")
    said = choice.get(name)
    if not isinstance(said, dict) or (not said and choice.get(other)):
        found = choice.pop(other, None)
        choice[name] = found if isinstance(found, dict) else {}
        changed = True
    if not isinstance(choice.get("logprobs"), dict | None):
        choice["logprobs"] = None
        changed = True
    if not isinstance(choice.get("finish_reason"), str | None):
        choice["finish_reason"] = "stop" if choice["finish_reason"] else None
        changed = True
    return _restore_message(choice[name], whole) or changed


def _restore_message(message: Json, whole: bool) -> bool:
    changed = whole and not isinstance(message.get("role"), str)
    if changed:
        message["role"] = "assistant"
    given = message.get("tool_calls")
    calls: Any = [given] if _is_call(given) else given
    if isinstance(calls, list):
        calls = [call for call in calls if (_is_call(call) if whole else isinstance(call, dict))]
    elif calls is not None:
        calls = None
    if calls != given:
        message["tool_calls"] = calls
        changed = True
    for place, call in enumerate(() if whole else calls or ()):
        changed = _restore_part(call, place) or changed
    return changed


def _restore_part(call: Json, place: int) -> bool:
    """A part of a call in a chunk."""
    changed = False
    if type(call.get("index")) is not int:
        call["index"] = place
        changed = True
    if not isinstance(call.get("function"), dict | None):
        call["function"] = None
        changed = True
    return changed


def _is_call(value: Any) -> bool:
    """Whether it is a call that came whole: one that names no function is none."""
    function = value.get("function") if isinstance(value, dict) else None
    return (isinstance(function, dict) and isinstance(function.get("name"), str)) or (
        isinstance(value, dict) and "custom" in value
    )


def restored_usage(usage: Json, prompt_tokens: int, completion_tokens: int) -> Json:
    """A usage as clients read it: itself where it is so, else with these numbers, and without details that are none."""
    counted = all(type(usage.get(name)) is int for name in ("prompt_tokens", "completion_tokens"))
    counted = counted and type(usage.get("total_tokens")) is int
    broken = {name for name in _DETAILS if not _is_details(usage.get(name))}
    if counted and not broken:
        return usage
    kept = {name: value for name, value in usage.items() if name not in broken}
    total = prompt_tokens + completion_tokens
    counts = {"prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens, "total_tokens": total}
    return kept if counted else kept | counts


def _is_details(value: Any) -> bool:
    """Whether it is an object of numbers, or missing."""
    if value is None:
        return True
    return isinstance(value, dict) and all(isinstance(one, int | float | None) for one in value.values())
