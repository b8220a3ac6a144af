"""An answer put together from the chunks of OpenAI's chat completions; pure."""

import math
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from services.orchestrator.generate.generator import Calls, Ended, Finish, Piece, Tokens
from services.orchestrator.tools.tool import ToolCall
from services.runtime.upstreams import field, tokens

_FINISHES = {"stop": Finish.STOP, "length": Finish.LENGTH, "tool_calls": Finish.TOOL_CALLS, "max_tokens": Finish.LENGTH}
CHARACTERS_PER_TOKEN = 4
# Written, and paid for, but no part of the answer.
_THOUGHTS = ("reasoning_content", "reasoning")
MOST_CALLS, LONGEST_CALLS, LONGEST_ID = 1024, 4 << 20, 256
LONGEST_TEXT = 32 << 20


class Malformed(ValueError):
    """A chunk is not of the form that it should have."""


@dataclass(slots=True)
class _Call:
    id: str = ""
    name: str = ""
    arguments: str = ""


class Answer:
    """Takes chunks, gives pieces; the calls and the end come last, once all chunks are taken."""

    def __init__(self, prompt_estimate: int, prompt_characters: int) -> None:
        self._prompt_estimate = prompt_estimate
        self._prompt_characters = prompt_characters
        self._characters = 0
        self._calls: list[_Call] = []
        self._called = 0
        self._at: dict[int, _Call] = {}
        self._usage: Mapping[str, Any] | None = None
        self._logprobs: list[float] = []
        self.finish = ""

    def take(self, chunk: Mapping[str, Any]) -> Piece | None:
        """The text of a chunk, or of a whole completion. Raises Malformed."""
        try:
            if isinstance(usage := chunk.get("usage"), dict):
                self._usage = usage
            choices = chunk.get("choices")
            return self._choice(choices[0]) if choices else None
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise Malformed(str(error)) from error

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
        yield Ended(finish, self._tokens(), confidence)

    def _choice(self, choice: Mapping[str, Any]) -> Piece | None:
        said = choice.get("delta") or choice.get("message") or {}
        for call in said.get("tool_calls") or ():
            self._call(call)
        for token in (choice.get("logprobs") or {}).get("content") or ():
            self._logprobs.append(min(0.0, float(token["logprob"])))
        if isinstance(reason := choice.get("finish_reason"), str):
            self.finish = reason or self.finish
        for name in _THOUGHTS:
            self._characters += len(said[name]) if isinstance(said.get(name), str) else 0
        text = said.get("content") or said.get("refusal")
        if not text:
            return None
        if not isinstance(text, str):
            raise Malformed("content is not a text")
        self._characters += len(text)
        if self._characters > LONGEST_TEXT:
            raise Malformed("more text than any model writes")
        return Piece(text)

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
            raise Malformed("more calls than any model makes")

    def _tokens(self) -> Tokens:
        """As the upstream counted; an estimate where it did not, or cannot have, so that budgets hold all the same."""
        read = tokens(field(self._usage, "prompt_tokens"), self._prompt_estimate, self._prompt_characters)
        written = tokens(
            field(self._usage, "completion_tokens"), -(-(self._characters + self._called) // CHARACTERS_PER_TOKEN)
        )
        cached = field(field(self._usage, "prompt_tokens_details"), "cached_tokens")
        return Tokens(read, written, min(read, tokens(cached, 0)))


def _new_id() -> str:
    return f"call_{uuid.uuid4().hex[:24]}"
