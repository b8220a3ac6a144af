"""A run's events to a chat completion, whole or as chunks."""

import time
from dataclasses import dataclass, field
from typing import Any

from headworks.orchestrator.v1 import run_event_pb2 as event_pb
from headworks.orchestrator.v1 import run_pb2
from headworks.type.v1 import usage_pb2

Json = dict[str, Any]


@dataclass(slots=True)
class Completion:
    """What a run has said so far."""

    model: str
    created: int = field(default_factory=lambda: int(time.time()))
    run_id: str = ""
    text: list[str] = field(default_factory=list)
    annotations: list[Json] = field(default_factory=list)
    usage: usage_pb2.Usage = field(default_factory=usage_pb2.Usage)
    finished: event_pb.RunFinished | None = None

    def take(self, event: event_pb.RunEvent) -> Json | None:
        """Take the next event. Returns what it adds to the message, as OpenAI's delta; None where it adds nothing."""
        self.run_id = event.run_id
        match event.WhichOneof("event"):
            case "text":
                first = not self.text
                self.text.append(event.text.text)
                return {"role": "assistant", "content": event.text.text} if first else {"content": event.text.text}
            case "citation":
                found = annotation(event.citation)
                self.annotations.append(found)
                return {"annotations": [found]}
            case "usage":
                self.usage = event.usage.usage
            case "finished":
                self.finished = event.finished
        return None

    def whole(self, gateway_seconds: float) -> Json:
        """The completion as one object."""
        message = {
            "role": "assistant",
            "content": "".join(self.text),
            "refusal": None,
            "annotations": self.annotations,
        }
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
        return {
            **self._head("chat.completion"),
            "choices": [choice],
            "usage": self.usage_json(),
            "headworks": self.extension(gateway_seconds),
        }

    def chunk(self, delta: Json) -> Json:
        """A chunk that adds to the message."""
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}
        return {**self._head("chat.completion.chunk"), "choices": [choice]}

    def last_chunk(self, gateway_seconds: float) -> Json:
        """The chunk that ends the message."""
        choice = {"index": 0, "delta": {}, "logprobs": None, "finish_reason": "stop"}
        head = self._head("chat.completion.chunk")
        return {**head, "choices": [choice], "headworks": self.extension(gateway_seconds)}

    def usage_chunk(self) -> Json:
        """The chunk after the last one, for callers who asked for usage."""
        return {**self._head("chat.completion.chunk"), "choices": [], "usage": self.usage_json()}

    def usage_json(self) -> Json:
        read, written = self.usage.prompt_tokens, self.usage.completion_tokens
        return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}

    def extension(self, gateway_seconds: float) -> Json:
        """What OpenAI's form has no place for: the run's id, why it ended, and what each hop took in milliseconds."""
        finished = self.finished or event_pb.RunFinished()
        timings = {"gateway": round(gateway_seconds * 1000, 3)}
        for timing in finished.timings:
            timings[timing.hop] = round(timing.duration.seconds * 1000 + timing.duration.nanos / 1e6, 3)
        reason = run_pb2.FinishReason.Name(finished.reason).removeprefix("FINISH_REASON_").lower()
        return {"run_id": self.run_id, "finish_reason": reason, "timings_ms": timings}

    def _head(self, kind: str) -> Json:
        return {"id": f"chatcmpl-{self.run_id}", "object": kind, "created": self.created, "model": self.model}


def annotation(added: event_pb.CitationAdded) -> Json:
    """A citation as an annotation. The indexes are into the answer; what follows `url` is beyond OpenAI's form."""
    citation = added.citation
    return {
        "type": "url_citation",
        "url_citation": {
            "start_index": added.answer_span.start,
            "end_index": added.answer_span.end,
            "title": citation.title,
            "url": citation.uri or citation.document_id,
            "document_id": citation.document_id,
            "passage_id": citation.passage_id,
            "span": {"start": citation.span.start, "end": citation.span.end},
            "quote": citation.quote,
        },
    }
