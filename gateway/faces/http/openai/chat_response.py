"""A run's events to a chat completion, whole."""

from collections.abc import Iterable
from typing import Any

from headworks.orchestrator.v1 import run_event_pb2 as event_pb

from gateway.faces.http.openai.seen import Seen
from services.llm.openai.chunks import Json


class Completion:
    """A completion that goes out when the run is over."""

    def __init__(self, seen: Seen) -> None:
        self._seen = seen
        self._text: list[str] = []
        self._refusal: list[str] = []
        self._annotations: list[Json] = []
        self._calls: list[Json] = []
        self._reasoning: list[str] = []

    def take(self, events: Iterable[event_pb.RunEvent]) -> None:
        """Take the next events."""
        for event in events:
            kind = event.WhichOneof("event")
            if kind == "text":
                (self._refusal if event.text.refusal else self._text).append(event.text.text)
            elif delta := self._seen.take(kind, event):
                self._annotations += delta.get("annotations", ())
                self._reasoning += [delta["reasoning_content"]] if "reasoning_content" in delta else []
                self._calls += [_without_index(call) for call in delta.get("tool_calls", ())]

    def json(self, gateway_seconds: float) -> Json:
        """The completion. Its content is null where there are only calls of tools, as OpenAI has it. Where a guard has
        ended the answer no calls are left: the caller must not make a part of them."""
        seen = self._seen
        content, refusal = "".join(self._text), "".join(self._refusal)
        calls = self._calls if seen.finish_reason != "content_filter" else []
        message: Json = {
            "role": "assistant",
            "content": content if content or not (calls or refusal) else None,
            "refusal": refusal or None,
            "annotations": self._annotations,
        }
        if self._reasoning:
            message["reasoning_content"] = "".join(self._reasoning)
        if calls:
            message["tool_calls"] = calls
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": seen.finish_reason}
        return {
            **seen.head("chat.completion"),
            "choices": [choice],
            "usage": seen.usage_json(),
            "headworks": seen.extension(gateway_seconds),
        }


def _without_index(call: dict[str, Any]) -> Json:
    """Only a stream numbers its calls."""
    return {name: value for name, value in call.items() if name != "index"}
