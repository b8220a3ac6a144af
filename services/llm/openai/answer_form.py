"""What every chunk of an answer has in OpenAI's form, and its choices have once: given where the upstream leaves it
out, and taken out where it is there again. Pure."""

import time
import uuid
from typing import Any

import orjson

from services.llm.openai.calls import CallNumbers
from services.llm.openai.chunks import Chunk, Json, TextPart

CHUNK, WHOLE = "chat.completion.chunk", "chat.completion"
ROLE = "assistant"
_HEAD = ("id", "created", "model")


class AnswerForm:
    """That of one answer. `head`: what stands beside its choices, as far as it is known. `calls`: of its tools."""

    def __init__(self, model: str, streamed: bool) -> None:
        """`model`: the upstream's name for it. `streamed`: it comes in chunks."""
        self.calls = CallNumbers(streamed)
        self.head: Json = {"id": f"chatcmpl-{uuid.uuid4().hex}", "created": int(time.time()), "model": model}
        self._given: set[str] = set()
        self._begun: set[int] = set()

    def complete(self, chunk: Chunk) -> None:
        """Complete a chunk of a stream. A choice has its role once: clients append one that comes again."""
        changed = self._complete_head(chunk, CHUNK)
        for choice in chunk.json["choices"]:
            index, delta = choice["index"], choice["delta"]
            if index not in self._begun:
                self._begun.add(index)
                changed = _set_role(chunk, delta) or changed
            elif "role" in delta:
                _leave_out(chunk, delta, "role")
                changed = True
            changed = self._end(chunk, choice) or changed
        if changed:
            chunk.raw = b"data: " + orjson.dumps(chunk.json)

    def complete_whole(self, chunk: Chunk) -> None:
        """Complete a completion that comes whole."""
        changed = self._complete_head(chunk, WHOLE)
        for choice in chunk.json["choices"]:
            message = choice["message"]
            if "content" not in message:
                message["content"], changed = None, True
            if message.get("tool_calls") and choice.get("finish_reason") == "stop":
                chunk.finish_reason = choice["finish_reason"] = "tool_calls"
                changed = True
            elif not choice.get("finish_reason"):
                choice["finish_reason"] = "tool_calls" if message.get("tool_calls") else "stop"
                changed = True
        if changed:
            chunk.raw = orjson.dumps(chunk.json)

    def restart(self) -> None:
        """Of all chunks so far none has gone out."""
        self._begun.clear()

    def last_delta(self, index: int, reason: str) -> Json:
        """What a choice still lacks at its end: the role, and arguments where its calls are to be made."""
        delta: Json = {}
        if index not in self._begun:
            self._begun.add(index)
            delta = {"role": ROLE, "content": ""}
        return delta | _calls(self.calls.lacking(index) if reason == "tool_calls" else [])

    def _complete_head(self, chunk: Chunk, kind: str) -> bool:
        value, head, changed = chunk.json, self.head, False
        for name in _HEAD:
            if given := value.get(name):
                if name not in self._given:
                    self._given.add(name)
                    head[name] = given
            else:
                value[name], changed = head[name], True
        if value.get("object") != kind:
            _leave_out(chunk, value, "object")
            value["object"], changed = kind, True
        return changed

    def _end(self, chunk: Chunk, choice: Json) -> bool:
        """An empty reason is none; and an answer that stops to have its calls made says so."""
        reason = choice.get("finish_reason")
        if not reason:
            if reason is None:
                return False
            choice["finish_reason"] = None
            return True
        index, delta = choice["index"], choice["delta"]
        lacking = self.calls.lacking(index)
        delta |= _calls([*(delta.get("tool_calls") or ()), *lacking]) if lacking else {}
        if reason == "stop" and self.calls.of(index):
            chunk.finish_reason = choice["finish_reason"] = "tool_calls"
            return True
        return bool(lacking)


def _calls(parts: list[Json]) -> Json:
    return {"tool_calls": parts} if parts else {}


def _set_role(chunk: Chunk, delta: Json) -> bool:
    """Give a delta the role, where it has none or another."""
    if delta.get("role") == ROLE:
        return False
    _leave_out(chunk, delta, "role")
    delta["role"] = ROLE
    return True


def _leave_out(chunk: Chunk, holder: Any, key: str) -> None:
    """A field, and what it says."""
    holder.pop(key, None)

    def of_it(part: TextPart) -> bool:
        return part.holder is holder and part.key == key

    chunk.parts = [part for part in chunk.parts if not of_it(part)]
