"""The blocks of an answer in the order in which they begin: thoughts, texts, refusals and calls of tools. Pure.

The chunks of a chat completion may go back and forth between calls. The forms of other providers write one block
behind the other: what belongs to a later one waits until those before it are over.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

import orjson

from services.llm.openai.chunks import Json
from services.llm.openai.request import BESIDE

_PARTS = ("text", "output_text")


class Kind(StrEnum):
    """What a block is."""

    THOUGHT = "thought"
    TEXT = "text"
    REFUSAL = "refusal"
    CALL = "call"


class Step(StrEnum):
    """What happens to a block."""

    BEGIN = "begin"
    ADD = "add"
    CITE = "cite"
    END = "end"


@dataclass(slots=True, eq=False)
class Block:
    """`parts` are its text, or a call's arguments, as they came; `id`, `name` and `beside` a call's, the last being
    what its model's server wants back with it; `annotations` a text's."""

    kind: Kind
    parts: list[str] = field(default_factory=list)
    id: str = ""
    name: str = ""
    beside: Json = field(default_factory=dict)
    annotations: list[Json] = field(default_factory=list)
    begun: bool = False
    waiting: list["str | Json"] = field(default_factory=list)

    @property
    def text(self) -> str:
        """All of it so far."""
        return "".join(self.parts)

    def add(self, text: str) -> None:
        """Go on with the next piece."""
        self.parts.append(text)
        self.waiting.append(text)

    def cite(self, annotation: Json) -> None:
        """Name a source of the text so far."""
        self.annotations.append(annotation)
        self.waiting.append(annotation)

    @property
    def complete(self) -> bool:
        """Whether a call's arguments are all there. Of none it is not known before the end."""
        text = self.text
        return bool(text.strip()) and arguments(text) is not None


class Move(NamedTuple):
    """A step of the block with this number. `value`: the text that is added, or the annotation."""

    step: Step
    number: int
    block: Block
    value: Any = None


class AnswerBlocks:
    """Takes the deltas of a stream, or a whole message, and gives the moves. `thoughts`: whether they are shown."""

    def __init__(self, thoughts: bool = True) -> None:
        self._thoughts = thoughts
        self._calls: dict[int, Block] = {}
        self._at = 0
        self.blocks: list[Block] = []

    def take(self, delta: Json) -> None:
        """Take what a chunk adds to the message."""
        for kind, text in _texts(delta):
            if kind is not Kind.THOUGHT or self._thoughts:
                self._last(kind).add(text)
        for annotation in delta.get("annotations") or ():
            self._last(Kind.TEXT).cite(annotation)
        for place, call in enumerate(delta.get("tool_calls") or ()):
            self._call(call, call.get("index", place))

    def moves(self) -> Iterator[Move]:
        """What can be written of the blocks by now, and was not before."""
        return self._moves(over=False)

    def end(self, calls: bool = True) -> Iterator[Move]:
        """What is left. `calls`: whether those that have not begun are made."""
        if not calls:
            self.blocks = [block for block in self.blocks if block.begun or block.kind is not Kind.CALL]
        return self._moves(over=True)

    def _moves(self, over: bool) -> Iterator[Move]:
        while self._at < len(self.blocks):
            number, block = self._at, self.blocks[self._at]
            followed = number + 1 < len(self.blocks)
            ends = over or (followed and (block.kind is not Kind.CALL or block.complete))
            if not block.begun:
                if block.kind is Kind.CALL and not block.name and not ends:
                    return
                block.begun = True
                yield Move(Step.BEGIN, number, block)
            waiting, block.waiting = block.waiting, []
            for value in waiting:
                yield Move(Step.ADD if isinstance(value, str) else Step.CITE, number, block, value)
            if not ends:
                return
            self._at += 1
            yield Move(Step.END, number, block)

    def _last(self, kind: Kind) -> Block:
        """The block that a text of this kind goes on with, or a new one."""
        if not self.blocks or self.blocks[-1].kind is not kind:
            self.blocks.append(Block(kind))
        return self.blocks[-1]

    def _call(self, call: Json, index: int) -> None:
        block = self._calls.get(index)
        if block is None:
            block = self._calls[index] = Block(Kind.CALL)
            self.blocks.append(block)
        function = call.get("function") or {}
        block.id = block.id or call.get("id") or ""
        block.name = block.name or function.get("name") or ""
        block.beside |= {name: value for name in BESIDE if (value := call.get(name))}
        if text := function.get("arguments"):
            block.add(text)


def arguments(text: str) -> Json | None:
    """A call's arguments as an object, nothing being an empty one; None where they are none."""
    try:
        value = orjson.loads(text) if text.strip() else {}
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None


def _texts(delta: Json) -> Iterator[tuple[Kind, str]]:
    """What a delta says, thoughts first. Upstreams have two names for these, and some write contents in parts."""
    thought = delta.get("reasoning_content") or delta.get("reasoning")
    if thought and isinstance(thought, str):
        yield Kind.THOUGHT, thought
    content = delta.get("content")
    for part in content if isinstance(content, list) else [content]:
        text = part.get("text") if isinstance(part, dict) and part.get("type") in _PARTS else part
        if text and isinstance(text, str):
            yield Kind.TEXT, text
    refusal = delta.get("refusal")
    if refusal and isinstance(refusal, str):
        yield Kind.REFUSAL, refusal
