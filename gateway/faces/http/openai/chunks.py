"""A run's events to a chat completion in chunks, as server-sent events.

Text is most of a stream, so a chunk of text is put together from bytes: only the text itself is written as JSON.
"""

from collections.abc import Sequence

import orjson
from headworks.orchestrator.v1 import run_event_pb2 as event_pb

from gateway.faces.http.openai.seen import Seen
from services.llm.openai.chunks import Json
from services.llm.sse import DONE_EVENT

_END = b"\n\n"
_TEXT_END = b'},"logprobs":null,"finish_reason":null}]}\n\n'
_APPROVALS = ("approval_request", "approval_decision")


class Chunks:
    """The chunks of one completion. The first has the role."""

    def __init__(self, seen: Seen) -> None:
        self._seen = seen
        self._text_begin = b""

    def take(self, events: Sequence[event_pb.RunEvent]) -> bytes:
        """What the events add to the stream; nothing where they add nothing. Texts that come together are one chunk."""
        out: list[bytes] = []
        texts: list[str] = []
        for event in events:
            kind = event.WhichOneof("event")
            if kind == "text" and not event.text.refusal:
                texts.append(event.text.text)
                continue
            delta = {"refusal": event.text.text} if kind == "text" else self._seen.take(kind, event)
            if delta is not None or kind in _APPROVALS:
                if texts:
                    out.append(self._text("".join(texts)))
                    texts = []
                out.append(self._event(self._delta(delta)) if delta else self._pending())
        if texts:
            out.append(self._text("".join(texts)))
        return out[0] if len(out) == 1 else b"".join(out)

    def last(self, gateway_seconds: float, include_usage: bool) -> bytes:
        """The chunk that ends the message, one with the usage if it is wanted, and the mark of the end."""
        seen = self._seen
        delta = {} if self._text_begin else {"role": "assistant", "content": ""}
        chunk = self._chunk(delta, seen.finish_reason) | {"headworks": seen.extension(gateway_seconds)}
        usage = {**seen.head("chat.completion.chunk"), "choices": [], "usage": seen.usage_json()}
        return self._event(chunk) + (self._event(usage) if include_usage else b"") + DONE_EVENT

    @property
    def waits_for(self) -> str:
        """What the run waits for, if that is a person."""
        approvals = ", ".join(self._seen.approvals)
        return f"run {self._seen.run_id} is waiting for approval {approvals}" if approvals else ""

    def _text(self, text: str) -> bytes:
        if self._text_begin:
            return self._text_begin + orjson.dumps(text) + _TEXT_END
        return self._event(self._delta({"content": text}))

    def _delta(self, delta: Json) -> Json:
        """A chunk that adds `delta` to the message."""
        if not self._text_begin:
            delta = {"role": "assistant", **({} if "content" in delta else {"content": None}), **delta}
            self._text_begin = self._begin()
        return self._chunk(delta, None)

    def _begin(self) -> bytes:
        """What stands before the text in each chunk of text."""
        return self._event(self._chunk({"content": ""}, None)).removesuffix(b'""' + _TEXT_END)

    def _pending(self) -> bytes:
        return self._event(self._delta({}) | {"headworks": self._seen.pending()})

    def _chunk(self, delta: Json, finish_reason: str | None) -> Json:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return {**self._seen.head("chat.completion.chunk"), "choices": [choice]}

    @staticmethod
    def _event(value: Json) -> bytes:
        return b"data: " + orjson.dumps(value) + _END
