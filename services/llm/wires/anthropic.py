"""Anthropic's Messages: requests out, events and messages in."""

import time
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from services.llm.catalogue.entry import CatalogueEntry
from services.llm.sse import EventReader, data_of
from services.llm.wires.anthropic_request import messages_request
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
        self._head: dict[str, Any] = {"id": "", "object": "chat.completion.chunk", "created": int(time.time()),
                                      "model": model}  # fmt: skip
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
            {
                "id": block.get("id") or "", "type": "function",
                "function": {"name": block.get("name") or "", "arguments": orjson.dumps(block.get("input")).decode()},
            }
            for block in blocks if block.get("type") == "tool_use"
        ]  # fmt: skip
        message: dict[str, Any] = {"role": "assistant", "content": text or (None if calls else "")}
        message |= ({"reasoning_content": thought} if thought else {}) | ({"tool_calls": calls} if calls else {})
        choice = {"index": 0, "message": message, "finish_reason": _finish(value.get("stop_reason"))}
        head = {**self._head, "object": "chat.completion", "id": value.get("id") or "chatcmpl-anthropic"}
        return orjson.dumps({**head, "choices": [choice], "usage": self._usage()})

    def _event(self, raw: bytes) -> Iterator[bytes]:
        data = data_of(raw)
        if not data:
            return
        value = answer_of(data)
        match value.get("type"):
            case "message_start":
                message = value.get("message") or {}
                self._head["id"] = message.get("id") or "chatcmpl-anthropic"
                self._take_usage(message.get("usage"))
                yield self._delta(role="assistant", content="")
            case "content_block_start":
                yield from self._begin(value.get("index"), value.get("content_block") or {})
            case "content_block_delta":
                yield from self._grow(value.get("index"), value.get("delta") or {})
            case "message_delta":
                self._take_usage(value.get("usage"))
                if reason := (value.get("delta") or {}).get("stop_reason"):
                    self._stopped = True
                    choice = {"index": 0, "delta": {}, "finish_reason": _finish(reason)}
                    yield event({**self._head, "choices": [choice]})
                    yield event({**self._head, "choices": [], "usage": self._usage()})
            case "message_stop":
                if self._stopped:
                    yield DONE
            case "error":
                yield event({"error": _error(value)})

    def _begin(self, index: Any, block: Mapping[str, Any]) -> Iterator[bytes]:
        if block.get("type") == "tool_use":
            number = self._calls[index] = len(self._calls)
            function = {"name": block.get("name") or "", "arguments": ""}
            call = {"index": number, "id": block.get("id") or "", "type": "function", "function": function}
            yield self._delta(tool_calls=[call])
        elif block.get("type") == "text" and block.get("text"):
            yield self._delta(content=block["text"])

    def _grow(self, index: Any, delta: Mapping[str, Any]) -> Iterator[bytes]:
        match delta.get("type"):
            case "text_delta":
                yield self._delta(content=delta.get("text") or "")
            case "thinking_delta":
                yield self._delta(reasoning_content=delta.get("thinking") or "")
            case "input_json_delta" if index in self._calls:
                function = {"arguments": delta.get("partial_json") or ""}
                yield self._delta(tool_calls=[{"index": self._calls[index], "function": function}])

    def _delta(self, **delta: Any) -> bytes:
        return event({**self._head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]})

    def _take_usage(self, given: Any) -> None:
        if isinstance(given, dict):
            self._used |= {name: value for name, value in given.items() if value is not None}

    def _usage(self) -> dict[str, Any]:
        """What was read from the provider's cache, and what was written into it, is part of the prompt."""
        used, names = self._used, ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
        prompt = sum(value for name in names if isinstance(value := used.get(name), int))
        written = used.get("output_tokens")
        written = written if isinstance(written, int) else 0
        cached = used.get("cache_read_input_tokens") or 0
        kept = used.get("cache_creation_input_tokens") or 0
        return {
            "prompt_tokens": prompt, "completion_tokens": written, "total_tokens": prompt + written,
            "prompt_tokens_details": {"cached_tokens": cached, **({"cache_write_tokens": kept} if kept else {})},
        }  # fmt: skip


def _finish(reason: Any) -> str:
    return FINISHES.get(reason, "stop") if isinstance(reason, str) else "stop"


def _error(value: Mapping[str, Any]) -> dict[str, Any]:
    error = value.get("error")
    error = error if isinstance(error, dict) else {"message": str(error)}
    busy = error.get("type") in ("overloaded_error", "api_error", "timeout_error")
    return {"message": error.get("message"), "type": error.get("type"), **({"code": "503"} if busy else {})}
