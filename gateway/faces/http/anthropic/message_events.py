"""The chunks of a chat completion to the events of a message. Pure."""

from collections.abc import Iterable

import orjson

from gateway.faces.http.answer_blocks import AnswerBlocks, Kind, Move, Step
from gateway.faces.http.anthropic import answer
from gateway.faces.http.anthropic.errors import failure
from gateway.faces.http.anthropic.message_request import MessageRequest
from gateway.faces.http.chat_events import choice_of, chunks_of, is_over
from gateway.faces.http.message import StreamForm
from services.llm.openai.chunks import Json

_ADDED = {
    Kind.THOUGHT: ("thinking_delta", "thinking"),
    Kind.TEXT: ("text_delta", "text"),
    Kind.REFUSAL: ("text_delta", "text"),
    Kind.CALL: ("input_json_delta", "partial_json"),
}


def event(kind: str, **fields: object) -> bytes:
    """An event, which has its name twice."""
    return f"event: {kind}\n".encode() + b"data: " + orjson.dumps({"type": kind, **fields}) + b"\n\n"


def ping(waits_for: str) -> bytes:
    """What breaks a silence, as Anthropic has it."""
    return event("ping", **({"headworks": {"waits_for": waits_for}} if waits_for else {}))


FORM = StreamForm(ping, failure)


class MessageEvents:
    """The events of one message. Its first one says about how many tokens were read, its last one how many it were."""

    def __init__(self, asked: MessageRequest) -> None:
        self._asked = asked
        self._blocks = AnswerBlocks(asked.thoughts)
        self._cited = 0
        self._begun = False
        self._last: Json = {}
        self._usage: Json | None = None
        self._headworks: Json | None = None

    def take(self, data: bytes) -> bytes:
        """What the next chunks add."""
        out = [part for chunk in chunks_of(data) for part in self._chunk(chunk)]
        if is_over(data):
            out += self._end()
        return b"".join(out)

    def _chunk(self, chunk: Json) -> list[bytes]:
        out: list[bytes] = []
        choice = choice_of(chunk)
        if not self._begun and choice:
            self._begun = True
            out.append(event("message_start", message=self._message(chunk)))
        self._usage = chunk.get("usage") or self._usage
        if choice.get("finish_reason"):
            self._last = choice
        if (beyond := chunk.get("headworks")) is not None:
            if "pending_approvals" in beyond:
                out.append(event("ping", headworks=beyond))
            else:
                self._headworks = beyond
        self._blocks.take(choice.get("delta") or {})
        return out + self._written(self._blocks.moves())

    def _message(self, chunk: Json) -> Json:
        return {
            "id": answer.message_id(chunk.get("id")),
            "type": "message",
            "role": "assistant",
            "model": chunk.get("model") or self._asked.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": answer.usage_json({"prompt_tokens": self._asked.prompt_tokens()}),
        }

    def _end(self) -> list[bytes]:
        filtered = self._last.get("finish_reason") == "content_filter"
        out = self._written(self._blocks.end(calls=not filtered))
        ending = answer.ending(self._last, self._blocks.blocks, self._asked.stops)
        beyond = {"headworks": self._headworks} if self._headworks is not None else {}
        out.append(event("message_delta", delta=ending, usage=answer.usage_json(self._usage), **beyond))
        return [*out, event("message_stop")]

    def _written(self, moves: Iterable[Move]) -> list[bytes]:
        return [self._move(move) for move in moves]

    def _move(self, move: Move) -> bytes:
        if move.step is Step.BEGIN:
            return event("content_block_start", index=move.number, content_block=answer.empty(move.block))
        if move.step is Step.ADD:
            kind, name = _ADDED[move.block.kind]
            return self._delta(move.number, {"type": kind, name: move.value})
        if move.step is Step.CITE:
            self._cited += 1
            cited = answer.citation(move.value, self._cited - 1)
            return self._delta(move.number, {"type": "citations_delta", "citation": cited})
        signed = b""
        if move.block.kind is Kind.THOUGHT:
            signed = self._delta(move.number, {"type": "signature_delta", "signature": answer.SIGNATURE})
        return signed + event("content_block_stop", index=move.number)

    @staticmethod
    def _delta(index: int, delta: Json) -> bytes:
        return event("content_block_delta", index=index, delta=delta)
