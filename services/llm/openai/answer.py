"""An answer put together from the chunks of OpenAI's chat completions. Pure."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from services.llm.chat import ToolCall
from services.llm.generation import Calls, Ended, Finish, Piece, Thought
from services.llm.openai import usage
from services.llm.openai.calls import CallSorter, new_id
from services.llm.openai.chunks import Channel, Chunk, MalformedChunk
from services.llm.openai.request import BESIDE, LONGEST_BESIDE, REASONING
from services.llm.tokens import TokenTally

_FINISHES = {
    "stop": Finish.STOP, "length": Finish.LENGTH, "tool_calls": Finish.TOOL_CALLS,
    "content_filter": Finish.CONTENT_FILTER,
}  # fmt: skip
_THINKING = ("thinking", "reasoning")
"""Parts of a content that are thoughts, by their `type`."""
_TEXTS = tuple(map(Channel, ("content", "refusal", "reasoning_content", "reasoning")))
LONGEST_TEXT = 32 << 20


class AnswerReader:
    """Takes chunks, gives pieces; the calls and the end come last, once all chunks are taken."""

    def __init__(self, model: str, prompt: Sequence[str], context_length: int = 0, reasoning: bool = False) -> None:
        """`prompt`: its texts, for where the upstream does not report its usage; `context_length`: the model's.
        `reasoning`: whether thoughts are wanted."""
        self._reasoning = reasoning
        self._model = model
        self._tally = TokenTally(prompt, context_length)
        self._characters = 0
        self._calls = CallSorter()
        self._extras: dict[int, dict[str, Any]] = {}
        self._thoughts: list[str] = []
        self._logprobs: list[float] = []
        self._counter = usage.ChunkCounter(self._tally)
        self._answers = self._refuses = False
        self.finish = ""
        self.chunks = 0

    def take(self, chunk: Chunk) -> Sequence[Piece | Thought]:
        """The thoughts and the text of a chunk, or of a whole completion. Raises MalformedChunk."""
        self._tally.report(chunk.usage)
        self.chunks += not chunk.empty
        self.finish = chunk.finish_reason or self.finish
        texts: dict[str, str] = {}
        self._counter.count((chunk,))
        thinking = _thoughts(chunk)
        for part in chunk.parts:
            self._characters += len(part.text)
            if part.channel in _TEXTS:
                name = "reasoning" if id(part.holder) in thinking else part.channel.name
                texts[name] = texts.get(name, "") + part.text
        if self._characters > LONGEST_TEXT:
            raise MalformedChunk("has more text than any model writes")
        for place, choice in enumerate(chunk.json.get("choices") or ()):
            if choice.get("index", place):
                continue  # one that nobody asked for
            try:
                self._choice(choice)
            except (AttributeError, KeyError, TypeError, ValueError) as error:
                raise MalformedChunk("is not in OpenAI's form") from error
        text, refusal = texts.get("content"), texts.get("refusal")
        self._answers, self._refuses = self._answers or bool(text), self._refuses or bool(refusal)
        if reasoning := texts.get(REASONING):
            self._thoughts.append(reasoning)
        thought = texts.get("reasoning_content") or texts.get("reasoning") if self._reasoning else ""
        said = Piece(text) if text else Piece(refusal, refusal=True) if refusal else None
        return (*((Thought(thought),) if thought else ()), *((said,) if said else ()))

    def ended(self) -> Iterator[Calls | Ended]:
        usage.check(self._model, self._tally)
        calls = self._calls.calls
        if calls:
            yield Calls(
                tuple(
                    ToolCall(call.id or new_id(), call.name, call.arguments, self._beside(call.index)) for call in calls
                )
            )
        finish = _FINISHES.get(self.finish, Finish.STOP)
        # Some say "stop" after calls, and some say "tool_calls" without one.
        if calls:
            finish = Finish.TOOL_CALLS
        elif finish is Finish.TOOL_CALLS:
            finish = Finish.STOP
        if finish is Finish.STOP and self._refuses and not self._answers:
            finish = Finish.REFUSAL
        confidence = math.exp(math.fsum(self._logprobs) / len(self._logprobs)) if self._logprobs else None
        yield Ended(finish, self._tally.counts, confidence)

    def _beside(self, index: int) -> str:
        """What goes back with a call: its own extras, and with the first one what was thought before."""
        made = dict(self._extras.get(index, {}))
        if index == 0 and self._thoughts:
            made[REASONING] = "".join(self._thoughts)
        beside = orjson.dumps(made).decode() if made else ""
        return beside if len(beside) <= LONGEST_BESIDE else ""

    def _choice(self, choice: Mapping[str, Any]) -> None:
        message = choice.get("delta") or choice.get("message") or {}
        for place, call in enumerate(message.get("tool_calls") or ()):
            taken = self._calls.add(call, place)
            if extras := {name: value for name in BESIDE if (value := call.get(name))}:
                self._extras.setdefault(taken.index, {}).update(extras)
        for token in (choice.get("logprobs") or {}).get("content") or ():
            self._logprobs.append(min(0.0, float(token["logprob"])))


def _thoughts(chunk: Chunk) -> set[int]:
    """The ids of the objects and lists within a chunk's contents that hold what was thought."""
    found: set[int] = set()
    for choice in chunk.json.get("choices") or ():
        message = choice.get("delta") or choice.get("message")
        content = message.get("content") if isinstance(message, dict) else None
        if isinstance(content, list):
            for part in content:
                if isinstance(part, dict) and part.get("type") in _THINKING:
                    _within(part, found)
    return found


def _within(value: Any, found: set[int]) -> None:
    """Add an object or a list, and those in it; the levels of a chunk are bounded."""
    if isinstance(value, dict | list):
        found.add(id(value))
        for inner in value.values() if isinstance(value, dict) else value:
            _within(inner, found)
