"""Ollama's own API: /api/chat out, lines of JSON in. Its OpenAI-compatible one cannot be told how long a context to
keep, and cuts off the beginning of what is longer without a word."""

import secrets
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from services.llm.catalogue.entry import CatalogueEntry
from services.llm.sse import LONGEST
from services.llm.wires.completion import Completion, arguments, call, usage
from services.llm.wires.ollama_request import chat_request
from services.llm.wires.wire import DONE, Prepared, answer_of, event


class OllamaWire:
    """`base_url` ends before "/api", such as http://localhost:11434. `context`: tokens that the model is to keep, 0 for
    the server's own default."""

    def __init__(self, context: int) -> None:
        self._context = context

    def url(self, entry: CatalogueEntry) -> str:
        return f"{entry.base_url.rstrip('/')}/api/chat"

    def headers(self, key: str) -> Mapping[str, str]:
        return {"authorization": f"Bearer {key}"} if key else {}

    async def prepare(self, url: str, headers: Mapping[str, str], body: bytes) -> Prepared:
        return Prepared(url, headers, orjson.dumps(chat_request(orjson.loads(body), self._context)))

    def reading(self, model: str) -> "OllamaReading":
        return OllamaReading(model)


class OllamaReading:
    """One answer. Calls have no ids: they get some that no other answer has."""

    def __init__(self, model: str) -> None:
        self._rest = b""
        self._made = Completion(model)
        self._calls = 0
        self._begun = False

    def feed(self, portion: bytes) -> bytes:
        *lines, self._rest = (self._rest + portion).split(b"\n")
        if len(self._rest) > LONGEST:
            raise ValueError(f"has a line of more than {LONGEST} bytes")
        return b"".join(made for line in lines if line.strip() for made in self._line(answer_of(line)))

    def end(self) -> bytes:
        rest, self._rest = self._rest.strip(), b""
        return b"".join(self._line(answer_of(rest))) if rest else b""

    def whole(self, body: bytes) -> bytes:
        value = answer_of(body)
        if "error" in value:
            return orjson.dumps({"error": {"message": value["error"]}})
        message = _message(value)
        calls = self._called(message)
        text, thought = str(message.get("content") or ""), str(message.get("thinking") or "")
        return self._made.whole(text, thought, calls, self._finish(value), _usage(value))

    def _line(self, value: Mapping[str, Any]) -> Iterator[bytes]:
        if "error" in value:
            yield event({"error": {"message": value["error"]}})
            return
        message = _message(value)
        if not self._begun:
            self._begun = True
            yield self._made.delta(role="assistant", content="")
        if message.get("thinking"):
            yield self._made.delta(reasoning_content=message["thinking"])
        if message.get("content"):
            yield self._made.delta(content=message["content"])
        first = self._calls
        if calls := self._called(message):
            yield self._made.delta(tool_calls=[{"index": first + at, **one} for at, one in enumerate(calls)])
        if value.get("done"):
            yield self._made.finish(self._finish(value))
            yield self._made.usage(_usage(value))
            yield DONE

    def _called(self, message: Mapping[str, Any]) -> list[dict[str, Any]]:
        calls = []
        for one in message.get("tool_calls") or ():
            function = one.get("function") if isinstance(one, dict) else None
            if isinstance(function, dict):
                identifier = one.get("id") or f"call_{secrets.token_hex(12)}"
                calls.append(call(identifier, function.get("name"), arguments(function.get("arguments"))))
                self._calls += 1
        return calls

    def _finish(self, value: Mapping[str, Any]) -> str:
        if value.get("done_reason") == "length":
            return "length"
        return "tool_calls" if self._calls else "stop"


def _message(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """Raises ValueError."""
    message = value.get("message")
    if not isinstance(message, dict):
        raise ValueError("has no message")
    return message


def _usage(value: Mapping[str, Any]) -> dict[str, Any]:
    read, written = value.get("prompt_eval_count"), value.get("eval_count")
    return usage(read if isinstance(read, int) else 0, written if isinstance(written, int) else 0)
