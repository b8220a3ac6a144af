"""Anthropic's Messages: requests out, events and messages in."""

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from services.llm.catalogue.entry import CatalogueEntry
from services.llm.sse import EventReader, data_of
from services.llm.wires.anthropic_request import messages_request
from services.llm.wires.completion import Completion, arguments, call, usage
from services.llm.wires.wire import DONE, Prepared, answer_of, event

VERSION = "2023-06-01"
FINISHES = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}


class AnthropicWire:
    """`base_url` in the catalogue ends before "/messages", such as https://api.anthropic.com/v1. `caching`: beginnings
    of prompts are kept there."""

    def __init__(self, caching: bool = False) -> None:
        self._caching = caching

    def url(self, entry: CatalogueEntry) -> str:
        return f"{entry.base_url.rstrip('/')}/messages"

    def headers(self, key: str) -> Mapping[str, str]:
        return {"anthropic-version": VERSION, **({"x-api-key": key} if key else {})}

    async def prepare(self, url: str, headers: Mapping[str, str], body: bytes) -> Prepared:
        return Prepared(url, headers, orjson.dumps(messages_request(orjson.loads(body), self._caching)))

    def reading(self, model: str) -> "AnthropicReading":
        return AnthropicReading(model)


class AnthropicReading:
    """One answer."""

    def __init__(self, model: str) -> None:
        self._events = EventReader()
        self._made = Completion(model)
        self._used: dict[str, Any] = {}
        self._calls: dict[Any, int] = {}
        self._stopped = False

    def feed(self, portion: bytes) -> bytes:
        return b"".join(made for one in self._events.feed(portion) for made in self._event(one))

    def end(self) -> bytes:
        """Nothing for a stream that breaks off: it has no end."""
        return b"".join(made for one in self._events.end() for made in self._event(one))

    def whole(self, body: bytes) -> bytes:
        value = answer_of(body)
        if value.get("type") == "error":
            return orjson.dumps({"error": _error(value)})
        if not isinstance(value.get("content"), list):
            raise ValueError("is no message")
        self._take_usage(value.get("usage"))
        blocks = [block for block in value["content"] if isinstance(block, dict)]
        text = "".join(str(block.get("text") or "") for block in blocks if block.get("type") == "text")
        thought = "".join(str(block.get("thinking") or "") for block in blocks if block.get("type") == "thinking")
        calls = [
            call(block.get("id"), block.get("name"), arguments(block.get("input")))
            for block in blocks
            if block.get("type") == "tool_use"
        ]
        self._made.id = value.get("id") or self._made.id
        return self._made.whole(text, thought, calls, _finish(value.get("stop_reason")), self._usage())

    def _event(self, raw: bytes) -> Iterator[bytes]:
        data = data_of(raw)
        if not data:
            return
        value = answer_of(data)
        match value.get("type"):
            case "message_start":
                message = value.get("message") or {}
                self._made.id = message.get("id") or self._made.id
                self._take_usage(message.get("usage"))
                yield self._made.delta(role="assistant", content="")
            case "content_block_start":
                yield from self._begin(value.get("index"), value.get("content_block") or {})
            case "content_block_delta":
                yield from self._grow(value.get("index"), value.get("delta") or {})
            case "message_delta":
                self._take_usage(value.get("usage"))
                if reason := (value.get("delta") or {}).get("stop_reason"):
                    self._stopped = True
                    yield self._made.finish(_finish(reason))
                    yield self._made.usage(self._usage())
            case "message_stop":
                if self._stopped:
                    yield DONE
            case "error":
                yield event({"error": _error(value)})

    def _begin(self, index: Any, block: Mapping[str, Any]) -> Iterator[bytes]:
        if block.get("type") == "tool_use":
            number = self._calls[index] = len(self._calls)
            yield self._made.delta(tool_calls=[{"index": number, **call(block.get("id"), block.get("name"), "")}])
        elif block.get("type") == "text" and block.get("text"):
            yield self._made.delta(content=block["text"])

    def _grow(self, index: Any, delta: Mapping[str, Any]) -> Iterator[bytes]:
        match delta.get("type"):
            case "text_delta":
                yield self._made.delta(content=delta.get("text") or "")
            case "thinking_delta":
                yield self._made.delta(reasoning_content=delta.get("thinking") or "")
            case "input_json_delta" if index in self._calls:
                function = {"arguments": delta.get("partial_json") or ""}
                yield self._made.delta(tool_calls=[{"index": self._calls[index], "function": function}])

    def _take_usage(self, given: Any) -> None:
        if isinstance(given, dict):
            self._used |= {name: value for name, value in given.items() if value is not None}

    def _usage(self) -> dict[str, Any]:
        """What was read from the provider's cache, and what was written into it, is part of the prompt."""

        def count(name: str) -> int:
            value = self._used.get(name)
            return value if isinstance(value, int) else 0

        cached, kept = count("cache_read_input_tokens"), count("cache_creation_input_tokens")
        return usage(count("input_tokens") + cached + kept, count("output_tokens"), cached, kept)


def _finish(reason: Any) -> str:
    return FINISHES.get(reason, "stop") if isinstance(reason, str) else "stop"


def _error(value: Mapping[str, Any]) -> dict[str, Any]:
    error = value.get("error")
    error = error if isinstance(error, dict) else {"message": str(error)}
    busy = error.get("type") in ("overloaded_error", "api_error", "timeout_error")
    return {"message": error.get("message"), "type": error.get("type"), **({"code": "503"} if busy else {})}
