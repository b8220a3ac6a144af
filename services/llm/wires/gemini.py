"""Google's Gemini: generateContent out, candidates in."""

import secrets
import time
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from services.llm.catalogue.entry import CatalogueEntry
from services.llm.sse import EventReader, data_of
from services.llm.wires.gemini_request import SIGNATURE, content_request
from services.llm.wires.wire import DONE, EXTRA, Prepared, answer_of, event

WHOLE, STREAM = "generateContent", "streamGenerateContent?alt=sse"
_FILTERED = frozenset((
    "SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY",
))  # fmt: skip
"""Why an answer was ended by the provider's filters."""


class GeminiWire:
    """`base_url` ends before "/models", such as https://generativelanguage.googleapis.com/v1beta."""

    def url(self, entry: CatalogueEntry) -> str:
        return f"{entry.base_url.rstrip('/')}/models/{entry.model}"

    def headers(self, key: str) -> Mapping[str, str]:
        return {"x-goog-api-key": key} if key else {}

    async def prepare(self, url: str, headers: Mapping[str, str], body: bytes) -> Prepared:
        asked = orjson.loads(body)
        how = STREAM if asked.get("stream") else WHOLE
        return Prepared(f"{url}:{how}", headers, orjson.dumps(content_request(asked)))

    def reading(self, model: str) -> "GeminiReading":
        return GeminiReading(model)


class GeminiReading:
    """One answer. A stream has no end of its own: it is over with the reason why it ended."""

    def __init__(self, model: str) -> None:
        self._events = EventReader()
        self._head: dict[str, Any] = {
            "id": f"chatcmpl-{secrets.token_hex(12)}",
            "created": int(time.time()),
            "model": model,
        }
        self._usage: dict[str, Any] | None = None
        self._calls: dict[int, int] = {}
        self._ended = False

    def feed(self, portion: bytes) -> bytes:
        return b"".join(made for one in self._events.feed(portion) for made in self._event(one))

    def end(self) -> bytes:
        rest = b"".join(made for one in self._events.end() for made in self._event(one))
        if not self._ended:
            return rest
        used = [event({**self._head, "object": "chat.completion.chunk", "choices": [], "usage": self._usage})]
        return rest + b"".join(used * (self._usage is not None)) + DONE

    def whole(self, body: bytes) -> bytes:
        value = answer_of(body)
        if "error" in value:
            return orjson.dumps({"error": value["error"]})
        self._take(value)
        choices = [self._choice(one, place) for place, one in enumerate(_candidates(value))]
        whole = {**self._head, "object": "chat.completion", "choices": choices}
        return orjson.dumps(whole | ({"usage": self._usage} if self._usage else {}))

    def _choice(self, candidate: Mapping[str, Any], place: int) -> dict[str, Any]:
        index = candidate.get("index") or place
        text, thought, calls = self._said(candidate, index)
        message: dict[str, Any] = {"role": "assistant", "content": text or (None if calls else "")}
        message |= {"reasoning_content": thought} if thought else {}
        message |= {"tool_calls": [{k: v for k, v in one.items() if k != "index"} for one in calls]} if calls else {}
        return {"index": index, "message": message, "finish_reason": self._finish(candidate, index) or "stop"}

    def _event(self, raw: bytes) -> Iterator[bytes]:
        data = data_of(raw)
        if not data:
            return
        value = answer_of(data)
        if "error" in value:
            yield event({"error": value["error"]})
            return
        self._take(value)
        for place, candidate in enumerate(_candidates(value)):
            index = candidate.get("index") or place
            text, thought, calls = self._said(candidate, index)
            delta = {
                **({"reasoning_content": thought} if thought else {}),
                **({"content": text} if text else {}),
                **({"tool_calls": calls} if calls else {}),
            }
            finish = self._finish(candidate, index)
            if delta or finish:
                self._ended = self._ended or finish is not None
                choice = {"index": index, "delta": {"role": "assistant", **delta}, "finish_reason": finish}
                yield event({**self._head, "object": "chat.completion.chunk", "choices": [choice]})

    def _said(self, candidate: Mapping[str, Any], index: int) -> tuple[str, str, list[dict[str, Any]]]:
        """Its text, what it thought, its calls."""
        content = candidate.get("content")
        parts = content.get("parts") if isinstance(content, dict) else None
        text, thought, calls = "", "", list[dict[str, Any]]()
        for part in parts if isinstance(parts, list) else ():
            if not isinstance(part, dict):
                continue
            if isinstance(said := part.get("text"), str):
                text, thought = (text, thought + said) if part.get("thought") else (text + said, thought)
            elif isinstance(call := part.get("functionCall"), dict):
                number = self._calls[index] = self._calls.get(index, -1) + 1
                calls.append(_call(call, number, self._head["id"], part.get("thoughtSignature")))
        return text, thought, calls

    def _finish(self, candidate: Mapping[str, Any], index: int) -> str | None:
        reason = candidate.get("finishReason")
        if not reason or reason == "FINISH_REASON_UNSPECIFIED":
            return None
        if reason in _FILTERED:
            return "content_filter"
        if reason == "MAX_TOKENS":
            return "length"
        return "tool_calls" if index in self._calls else "stop"

    def _take(self, value: Mapping[str, Any]) -> None:
        if isinstance(name := value.get("responseId"), str):
            self._head["id"] = name
        if isinstance(used := value.get("usageMetadata"), dict):
            self._usage = _usage(used)


def _candidates(value: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Of a prompt that was refused, one that says so. Raises ValueError for what is no answer."""
    found = value.get("candidates")
    if isinstance(found, list):
        return [one for one in found if isinstance(one, dict)]
    feedback = value.get("promptFeedback")
    if isinstance(feedback, dict) and feedback.get("blockReason"):
        return [{"finishReason": "SAFETY"}]
    if "usageMetadata" in value:
        return []
    raise ValueError("has no candidates")


def _call(call: Mapping[str, Any], number: int, answer: str, signature: Any) -> dict[str, Any]:
    """The API has no ids of calls, or gives them with newer models alone."""
    function = {"name": call.get("name") or "", "arguments": orjson.dumps(call.get("args") or {}).decode()}
    made = {"index": number, "id": call.get("id") or f"call_{answer}_{number}", "type": "function"}
    extra = {EXTRA: {"google": {SIGNATURE: signature}}} if signature else {}
    return {**made, "function": function, **extra}


def _usage(used: Mapping[str, Any]) -> dict[str, Any]:
    def count(name: str) -> int:
        value = used.get(name)
        return value if isinstance(value, int) else 0

    thoughts = count("thoughtsTokenCount")
    prompt = count("promptTokenCount") + count("toolUsePromptTokenCount")
    written = count("candidatesTokenCount") + thoughts
    return {
        "prompt_tokens": prompt, "completion_tokens": written, "total_tokens": prompt + written,
        "prompt_tokens_details": {"cached_tokens": count("cachedContentTokenCount")},
        "completion_tokens_details": {"reasoning_tokens": thoughts},
    }  # fmt: skip
