"""What a chat completion asks, as other wires look for it. Pure."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import orjson

from services.llm.wires.wire import WireCannot

LIMITS = ("max_tokens", "max_completion_tokens", "max_output_tokens", "max_new_tokens")


def limit_of(body: Mapping[str, Any]) -> int | None:
    """The most tokens that an answer may have, if the request says so. Raises WireCannot."""
    name = next((name for name in LIMITS if body.get(name)), None)
    if name is None:
        return None
    given = body[name]
    if isinstance(given, bool) or not isinstance(given, int | float):
        raise WireCannot(f"a {name} that is no number", name)
    return int(given)


def text_of(content: Any) -> str:
    """The text of a message's content."""
    if isinstance(content, list):
        parts = [part.get("text") if isinstance(part, dict) else part for part in content]
        return "\n".join(part for part in parts if isinstance(part, str))
    return content if isinstance(content, str) else ""


INSTRUCTING = ("system", "developer")
Blocks = Callable[[Mapping[str, Any]], Iterable[dict[str, Any]]]


def instructions(messages: Sequence[Mapping[str, Any]]) -> list[str]:
    """What messages with instructions say: providers have a place of its own for it."""
    told = [text_of(one.get("content")) for one in messages if one.get("role") in INSTRUCTING]
    return [one for one in told if one]


def turns(messages: Sequence[Mapping[str, Any]], model: str, blocks: Blocks) -> Iterator[tuple[str, list[Any]]]:
    """Users and the model in turn, each with its blocks: what follows of the same one, tools' results among a user's,
    is one message. `model`: how the provider calls it."""
    role, gathered = "", list[Any]()
    for message in messages:
        if message.get("role") in INSTRUCTING:
            continue
        own = model if message.get("role") == "assistant" else "user"
        if own != role and gathered:
            yield role, gathered
            gathered = []
        role = own
        gathered += blocks(message)
    if gathered:
        yield role, gathered


def parts_of(content: Any) -> Iterator[Mapping[str, Any]]:
    """The parts of a message's content; a text is one."""
    for part in content if isinstance(content, list) else [content]:
        if isinstance(part, str):
            yield {"type": "text", "text": part}
        elif isinstance(part, dict):
            yield part


def url_of(image: Any) -> str:
    """Of a part with a picture. Raises WireCannot."""
    url = image.get("url") if isinstance(image, dict) else image
    if not isinstance(url, str):
        raise WireCannot("an image without a URL", "messages")
    return url


def inline(url: str) -> tuple[str, str] | None:
    """The type and the base64 of a picture that is within its URL; None for one that is elsewhere."""
    if not url.startswith("data:"):
        return None
    head, _, data = url.removeprefix("data:").partition(",")
    return head.partition(";")[0] or "image/png", data


def function_of(tool: Any) -> Mapping[str, Any]:
    """Of a tool. Raises WireCannot."""
    function = tool.get("function") if isinstance(tool, dict) else None
    if not isinstance(function, dict):
        raise WireCannot("a tool that is no function", "tools")
    return function


def chosen(choice: Any) -> str:
    """The function that must be called. Raises WireCannot."""
    function = choice.get("function") if isinstance(choice, dict) else None
    if not isinstance(function, dict) or not function.get("name"):
        raise WireCannot("this tool_choice", "tool_choice")
    return str(function["name"])


def names_of_calls(messages: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The functions that were called, by the ids of the calls."""
    return {
        str(call.get("id") or ""): str((call.get("function") or {}).get("name") or "")
        for message in messages
        for call in calls_of(message)
    }


def stops(body: Mapping[str, Any]) -> list[str]:
    """Raises WireCannot."""
    stop = body.get("stop") or []
    listed = [stop] if isinstance(stop, str) else stop
    if not isinstance(listed, list) or not all(isinstance(one, str) for one in listed):
        raise WireCannot("a stop that is no text", "stop")
    return listed


def tools_of(body: Mapping[str, Any]) -> list[Any]:
    """Raises WireCannot."""
    tools = body.get("tools") or []
    if not isinstance(tools, list):
        raise WireCannot("tools that are no list", "tools")
    return tools


def calls_of(message: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The calls in a message. Raises WireCannot."""
    calls = message.get("tool_calls") or []
    if not isinstance(calls, list) or not all(
        isinstance(call, dict) and isinstance(call.get("function") or {}, dict) for call in calls
    ):
        raise WireCannot("tool_calls that are no calls of functions", "messages")
    return calls


def sound_of(part: Mapping[str, Any]) -> tuple[str, str]:
    """The format and the data of a part with a sound. Raises WireCannot."""
    sound = part.get("input_audio")
    if not isinstance(sound, dict) or not isinstance(sound.get("data"), str):
        raise WireCannot("a sound without data", "messages")
    return str(sound.get("format") or "wav"), sound["data"]


def form_of(form: Any) -> tuple[str, Mapping[str, Any]]:
    """Of a response_format: text, json_object, or json_schema with the schema. Raises WireCannot."""
    kind = form.get("type") if isinstance(form, dict) else None
    if kind in (None, "text", "json_object"):
        return kind or "text", {}
    given = form.get("json_schema") if kind == "json_schema" else None
    schema = given.get("schema") if isinstance(given, dict) else None
    if not isinstance(schema, dict):
        raise WireCannot(f"a response_format of the type {kind!r}", "response_format")
    return "json_schema", schema


def object_of(text: Any) -> dict[str, Any]:
    """The object that a JSON text is; empty where it is none."""
    try:
        value = orjson.loads(text or "{}")
    except (orjson.JSONDecodeError, TypeError):
        return {}
    return value if isinstance(value, dict) else {}
