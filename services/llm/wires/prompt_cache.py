"""What has a provider find again the beginning of a prompt that it has read before. Pure.

Anthropic's API is told up to where to keep a prompt, by at most four breakpoints. OpenAI's finds beginnings by itself,
and is told which requests have the same one, so that they come to the same machine.
"""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

MARK = "cache_control"
KEY = "prompt_cache_key"
_EPHEMERAL = {"type": "ephemeral"}
_INSTRUCTING = ("system", "developer")
_UNMARKABLE = ("thinking", "redacted_thinking")


def mark(request: dict[str, Any]) -> None:
    """Put breakpoints into a request of Anthropic's form: behind the tools, the instructions, the conversation before
    the last question, and all of it. One that has the caller's own keeps to those."""
    if any(MARK in block for block in _blocks(request)):
        return
    ends = [request.get("tools") or [], request.get("system") or [], *_turns(request["messages"])]
    for blocks in ends:
        last = next((block for block in reversed(blocks) if block.get("type") not in _UNMARKABLE), None)
        if last is not None:
            last[MARK] = _EPHEMERAL


def keyed(body: bytes, tenant: str) -> bytes:
    """A request of OpenAI's form with the key of its beginning, of which it says nothing; or with one of the caller's
    own that no other tenant can have."""
    value = orjson.loads(body)
    if given := value.get(KEY):
        own = hashlib.sha256(orjson.dumps([tenant, given])).hexdigest()[:32]
        return orjson.dumps(value | {KEY: own})
    messages = value.get("messages") or []
    told = [message for message in messages if message.get("role") in _INSTRUCTING]
    beginning = orjson.dumps([tenant, value.get("model"), value.get("tools"), told], option=orjson.OPT_SORT_KEYS)
    return orjson.dumps(value | {KEY: hashlib.sha256(beginning).hexdigest()[:32]})


def _turns(messages: list[Any]) -> Iterator[list[Any]]:
    """The contents whose ends are worth keeping: of the turn before the last question, and of the last turn."""
    asked = [place for place, message in enumerate(messages) if _asks(message)]
    if asked and asked[-1] > 0:
        yield messages[asked[-1] - 1]["content"]
    if messages:
        yield messages[-1]["content"]


def _asks(message: Mapping[str, Any]) -> bool:
    """Whether a user speaks, and not a tool alone."""
    return message["role"] == "user" and any(block.get("type") != "tool_result" for block in message["content"])


def _blocks(request: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from request.get("tools") or ()
    yield from request.get("system") or ()
    for message in request["messages"]:
        yield from message["content"]
