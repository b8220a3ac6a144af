"""An answer put together from the chunks of OpenAI's chat completions. Pure."""

import math
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from services.llm.chat import ToolCall
from services.llm.generation import Calls, Ended, Finish, Piece, TokenCounts
from services.llm.openai.chunks import Channel, Chunk, MalformedChunk
from services.llm.tokens import TokenTally

_FINISHES = {"stop": Finish.STOP, "length": Finish.LENGTH, "tool_calls": Finish.TOOL_CALLS, "max_tokens": Finish.LENGTH}
_TEXTS = (Channel("content"), Channel("refusal"))
MOST_CALLS, LONGEST_CALLS, LONGEST_ID = 1024, 4 << 20, 256
LONGEST_TEXT = 32 << 20


@dataclass(slots=True)
class _Call:
    id: str = ""
    name: str = ""
    arguments: str = ""


class AnswerReader:
    """Takes chunks, gives pieces; the calls and the end come last, once all chunks are taken."""

    def __init__(self, prompt: Sequence[str]) -> None:
        """`prompt`: its texts, for where the upstream does not report its usage."""
        self._tally = TokenTally(prompt)
        self._characters = 0
        self._calls: list[_Call] = []
        self._called = 0
        self._at: dict[int, _Call] = {}
        self._logprobs: list[float] = []
        self.finish = ""

    def take(self, chunk: Chunk) -> Piece | None:
        """The text of a chunk, or of a whole completion. Raises MalformedChunk."""
        self._tally.report(chunk.usage)
        self.finish = chunk.finish_reason or self.finish
        texts: dict[str, str] = {}
        for part in chunk.parts:
            if part.counted:
                self._tally.add(part.text)
            self._characters += len(part.text)
            if part.channel in _TEXTS:
                texts[part.channel.name] = texts.get(part.channel.name, "") + part.text
        if self._characters > LONGEST_TEXT:
            raise MalformedChunk("has more text than any model writes")
        for place, choice in enumerate(chunk.json.get("choices") or ()):
            if choice.get("index", place):
                continue  # one that nobody asked for
            try:
                self._choice(choice)
            except (AttributeError, KeyError, TypeError, ValueError) as error:
                raise MalformedChunk("is not in OpenAI's form") from error
        text = texts.get("content") or texts.get("refusal")
        return Piece(text) if text else None

    def ended(self) -> Iterator[Calls | Ended]:
        if self._calls:
            yield Calls(tuple(ToolCall(call.id or _new_id(), call.name, call.arguments) for call in self._calls))
        finish = _FINISHES.get(self.finish, Finish.STOP)
        # Some say "stop" after calls, and some say "tool_calls" without one.
        if self._calls:
            finish = Finish.TOOL_CALLS
        elif finish is Finish.TOOL_CALLS:
            finish = Finish.STOP
        confidence = math.exp(math.fsum(self._logprobs) / len(self._logprobs)) if self._logprobs else None
        yield Ended(finish, TokenCounts(self._tally.read, self._tally.written, self._tally.cached), confidence)

    def _choice(self, choice: Mapping[str, Any]) -> None:
        message = choice.get("delta") or choice.get("message") or {}
        for call in message.get("tool_calls") or ():
            self._call(call)
        for token in (choice.get("logprobs") or {}).get("content") or ():
            self._logprobs.append(min(0.0, float(token["logprob"])))

    def _call(self, delta: Mapping[str, Any]) -> None:
        """A part of a call goes to the one with its index. Whole calls may all come with the same index, or none."""
        given, index = str(delta.get("id") or "")[:LONGEST_ID], delta.get("index") or 0
        call = self._at.get(index)
        function = delta.get("function") or {}
        arguments = function.get("arguments") or ""
        if not isinstance(arguments, str):
            arguments = orjson.dumps(arguments).decode()
        if call is None or (given and given != call.id):
            call = self._at[index] = _Call(given)
            self._calls.append(call)
        name = function.get("name") or ""
        call.name += "" if name == call.name else name  # some repeat it with every part
        call.arguments += arguments
        self._called += len(name) + len(arguments)
        if len(self._calls) > MOST_CALLS or self._called > LONGEST_CALLS:
            raise MalformedChunk("has more calls than any model makes")


def _new_id() -> str:
    return f"call_{uuid.uuid4().hex[:24]}"
