"""Amazon Bedrock's Converse: requests out, signed; messages and event streams in."""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

import orjson
from botocore.eventstream import EventStreamBuffer, EventStreamMessage, ParserError

from services.llm.catalogue.entry import CatalogueEntry
from services.llm.wires.aws import AwsSigner
from services.llm.wires.bedrock_request import converse_request
from services.llm.wires.completion import Completion, arguments, call, usage
from services.llm.wires.wire import DONE, Prepared, answer_of, event

SERVICE = "bedrock"
WHOLE, STREAM = "converse", "converse-stream"
_FINISHES = {
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
}
_STATUSES = {"throttlingException": "429", "validationException": "400", "serviceUnavailableException": "503"}
"""Of exceptions within a stream; others are faults of the server."""


class BedrockWire:
    """`base_url` is the endpoint's, such as https://bedrock-runtime.eu-central-1.amazonaws.com. A key goes out as a
    bearer's; without one requests are signed with the credentials that AWS's own tools would find."""

    def __init__(self, region: str) -> None:
        self._signer = AwsSigner(SERVICE, region)

    def url(self, entry: CatalogueEntry) -> str:
        return f"{entry.base_url.rstrip('/')}/model/{quote(entry.model, safe=':')}"

    def headers(self, key: str) -> Mapping[str, str]:
        return {"authorization": f"Bearer {key}"} if key else {}

    async def prepare(self, url: str, headers: Mapping[str, str], body: bytes) -> Prepared:
        asked = orjson.loads(body)
        url = f"{url}/{STREAM if asked.get('stream') else WHOLE}"
        data = orjson.dumps(converse_request(asked))
        if "authorization" not in headers:
            headers = {**headers, **await self._signer.signed(url, data)}
        return Prepared(url, headers, data)

    def reading(self, model: str) -> "BedrockReading":
        return BedrockReading(model)


class BedrockReading:
    """One answer."""

    def __init__(self, model: str) -> None:
        self._frames = EventStreamBuffer()
        self._made = Completion(model)
        self._calls: dict[Any, int] = {}
        self._stopped = self._ended = False

    def feed(self, portion: bytes) -> bytes:
        try:
            self._frames.add_data(portion)
            return b"".join(made for frame in self._frames for made in self._event(frame))
        except ParserError as error:
            raise ValueError("is no event stream of AWS") from error

    def end(self) -> bytes:
        """The end, where all but the usage has come; nothing for a stream that breaks off."""
        return DONE if self._stopped and not self._ended else b""

    def whole(self, body: bytes) -> bytes:
        value = answer_of(body)
        output = value.get("output")
        message = output.get("message") if isinstance(output, dict) else None
        content = message.get("content") if isinstance(message, dict) else None
        if not isinstance(content, list):
            raise ValueError("is no message")
        blocks = [block for block in content if isinstance(block, dict)]
        text = "".join(str(block["text"]) for block in blocks if block.get("text"))
        thoughts = (_inner(_inner(block, "reasoningContent"), "reasoningText").get("text") for block in blocks)
        uses = (_inner(block, "toolUse") for block in blocks)
        calls = [call(use.get("toolUseId"), use.get("name"), arguments(use.get("input"))) for use in uses if use]
        finish = _finish(value.get("stopReason"))
        return self._made.whole(text, "".join(map(str, filter(None, thoughts))), calls, finish, _usage(value))

    def _event(self, frame: EventStreamMessage) -> Iterator[bytes]:
        kind = frame.headers.get(":exception-type") or frame.headers.get(":event-type")
        if frame.headers.get(":message-type") == "error":
            yield event({"error": {"message": str(frame.headers.get(":error-message") or ""), "code": "500"}})
            return
        value = answer_of(frame.payload)
        if frame.headers.get(":message-type") == "exception":
            yield event({"error": {"message": value.get("message"), "code": _STATUSES.get(str(kind), "500")}})
            return
        match kind:
            case "messageStart":
                yield self._made.delta(role="assistant", content="")
            case "contentBlockStart":
                if use := _inner(_inner(value, "start"), "toolUse"):
                    number = self._calls[value.get("contentBlockIndex")] = len(self._calls)
                    begun = {"index": number, **call(use.get("toolUseId"), use.get("name"), "")}
                    yield self._made.delta(tool_calls=[begun])
            case "contentBlockDelta":
                yield from self._grow(value.get("contentBlockIndex"), _inner(value, "delta"))
            case "messageStop":
                self._stopped = True
                yield self._made.finish(_finish(value.get("stopReason")))
            case "metadata":
                yield self._made.usage(_usage(value))
                if self._stopped:
                    self._ended = True
                    yield DONE

    def _grow(self, index: Any, delta: Mapping[str, Any]) -> Iterator[bytes]:
        if delta.get("text"):
            yield self._made.delta(content=delta["text"])
        elif thought := _inner(delta, "reasoningContent").get("text"):
            yield self._made.delta(reasoning_content=thought)
        elif index in self._calls:
            function = {"arguments": _inner(delta, "toolUse").get("input") or ""}
            yield self._made.delta(tool_calls=[{"index": self._calls[index], "function": function}])


def _inner(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """An object within another; an empty one where there is none."""
    inner = value.get(name)
    return inner if isinstance(inner, dict) else {}


def _finish(reason: Any) -> str:
    return _FINISHES.get(str(reason), "stop")


def _usage(value: Mapping[str, Any]) -> dict[str, Any]:
    """What was read from the provider's cache, and what was written into it, is part of the prompt."""
    used = _inner(value, "usage")

    def count(name: str) -> int:
        given = used.get(name)
        return given if isinstance(given, int) else 0

    cached = count("cacheReadInputTokens")
    kept = count("cacheWriteInputTokens")
    return usage(count("inputTokens") + cached + kept, count("outputTokens"), cached, kept)
