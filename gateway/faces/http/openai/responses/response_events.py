"""The chunks of a chat completion to the events of a response. Pure."""

import uuid
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from gateway.faces.http.answer_blocks import AnswerBlocks, Block, Kind, Move, Step
from gateway.faces.http.chat_events import choice_of, chunks_of, is_over
from gateway.faces.http.comments import comment
from gateway.faces.http.message import StreamForm
from gateway.faces.http.openai import errors
from gateway.faces.http.openai.responses import response_json as words
from gateway.faces.http.openai.responses.response_request import ResponseRequest
from services.llm.openai.chunks import Json
from services.runtime.errors import DomainError

# The events of a text, by what it is.
_TEXTS: Mapping[Kind, str] = {
    Kind.THOUGHT: "response.reasoning_text",
    Kind.TEXT: "response.output_text",
    Kind.REFUSAL: "response.refusal",
    Kind.CALL: "response.function_call_arguments",
}
_CUSTOM = "response.custom_tool_call_input"
# Under what name the whole text stands in the event that ends it.
_WHOLE: Mapping[Kind, str] = {Kind.THOUGHT: "text", Kind.TEXT: "text", Kind.REFUSAL: "refusal", Kind.CALL: "arguments"}


class ResponseEvents:
    """The events of one response, numbered from 0. Its items and their ids are the same in every event."""

    def __init__(self, asked: ResponseRequest) -> None:
        self._asked = asked
        self._blocks = AnswerBlocks()
        self._answer: Json = {}
        self._sequence = -1
        self._last: Json = {}
        self._usage: Json | None = None
        self._headworks: Json | None = None
        self._cited: dict[int, int] = {}
        self.form = StreamForm(comment, self._failed)

    def take(self, data: bytes) -> bytes:
        """What the next chunks add."""
        out = [part for chunk in chunks_of(data) for part in self._chunk(chunk)]
        if is_over(data):
            out += self._end()
        return b"".join(out)

    def _chunk(self, chunk: Json) -> list[bytes]:
        choice = choice_of(chunk)
        out = self._begin(chunk) if choice and not self._answer else []
        self._usage = chunk.get("usage") or self._usage
        if choice.get("finish_reason"):
            self._last = choice
        beyond = chunk.get("headworks")
        if beyond is not None and "pending_approvals" in beyond:
            out.append(
                self._event("response.in_progress", response=self._response(words.IN_PROGRESS, headworks=beyond))
            )
        else:
            self._headworks = beyond or self._headworks
        self._blocks.take(choice.get("delta") or {})
        return out + self._written(self._blocks.moves(), words.COMPLETED)

    def _begin(self, chunk: Json) -> list[bytes]:
        self._answer = {name: chunk.get(name) for name in ("id", "created", "model")}
        kinds = ("response.created", "response.in_progress")
        return [self._event(kind, response=self._response(words.IN_PROGRESS)) for kind in kinds]

    def _end(self) -> list[bytes]:
        status, why = words.ending(self._last)
        calls = self._last.get("finish_reason") != "content_filter"
        out = self._written(self._blocks.end(calls), status)
        items = words.output(self._asked, self._blocks.blocks, self._id, status)
        more: Json = {"incomplete_details": why, "usage": words.usage_json(self._usage)}
        if self._headworks is not None:
            more["headworks"] = self._headworks
        response = words.response_json(self._asked, self._answer, status, items, **more)
        return [*out, self._event(f"response.{status}", response=response)]

    def _failed(self, error: DomainError) -> bytes:
        """The event that ends the response with an error."""
        told = orjson.loads(errors.body(error))["error"]
        begin = [] if self._answer else self._begin({"id": uuid.uuid4().hex})
        items = words.output(
            self._asked, [block for block in self._blocks.blocks if block.begun], self._id, words.INCOMPLETE
        )
        response = words.response_json(self._asked, self._answer, words.FAILED, items, error=told)
        return b"".join([*begin, self._event("response.failed", response=response)])

    @property
    def _id(self) -> str:
        return words.response_id(self._answer.get("id"))

    def _response(self, status: str, **more: Any) -> Json:
        return words.response_json(self._asked, self._answer, status, [], **more)

    def _written(self, moves: Iterable[Move], status: str) -> list[bytes]:
        """`status`: that of an item that ends last of all."""
        return [part for move in moves for part in self._move(move, status)]

    def _move(self, move: Move, status: str) -> list[bytes]:
        block, kind = move.block, move.block.kind
        at = {"output_index": move.number}
        place = {**at, "item_id": words.item_id(kind, self._id, move.number)}
        if kind is not Kind.CALL:
            place["content_index"] = 0
        marks: Json = {"logprobs": []} if kind is Kind.TEXT else {}
        match move.step:
            case Step.BEGIN:
                item = words.item_json(self._asked, block, move.number, self._id, words.IN_PROGRESS)
                out = [self._event("response.output_item.added", **at, item=item)]
                if kind is not Kind.CALL:
                    out.append(self._event("response.content_part.added", **place, part=words.part_json(block, "")))
                return out
            case Step.ADD if self._is_custom(block):
                return []
            case Step.ADD:
                return [self._event(f"{_TEXTS[kind]}.delta", **place, delta=move.value, **marks)]
            case Step.CITE:
                number = self._cited[move.number] = self._cited.get(move.number, -1) + 1
                cited = {"annotation_index": number, "annotation": words.annotation(move.value)}
                return [self._event("response.output_text.annotation.added", **place, **cited)]
        last = move.number == len(self._blocks.blocks) - 1
        item = words.item_json(self._asked, block, move.number, self._id, status if last else words.COMPLETED)
        if self._is_custom(block):
            text = item["input"]
            out = [
                self._event(f"{_CUSTOM}.delta", **place, delta=text),
                self._event(f"{_CUSTOM}.done", **place, input=text),
            ]
        else:
            whole = item["arguments"] if kind is Kind.CALL else block.text
            named = {"name": item["name"]} if kind is Kind.CALL else {}
            out = [self._event(f"{_TEXTS[kind]}.done", **place, **named, **{_WHOLE[kind]: whole}, **marks)]
        if kind is not Kind.CALL:
            out.append(self._event("response.content_part.done", **place, part=item["content"][0]))
        return [*out, self._event("response.output_item.done", **at, item=item)]

    def _is_custom(self, block: Block) -> bool:
        """Whether it calls a tool whose input is a text: of that no part is known before all of it."""
        tool = self._asked.named.get(block.name)
        return tool is not None and tool.custom

    def _event(self, kind: str, **fields: Any) -> bytes:
        self._sequence += 1
        data = orjson.dumps({"type": kind, "sequence_number": self._sequence, **fields})
        return f"event: {kind}\n".encode() + b"data: " + data + b"\n\n"
