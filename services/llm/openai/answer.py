"""An answer put together from the chunks of OpenAI's chat completions. Pure."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from services.llm.chat import ToolCall
from services.llm.generation import Calls, Ended, Finish, Piece, Thought
from services.llm.openai import usage
from services.llm.openai.calls import CallSorter, new_id
from services.llm.openai.chunks import Channel, Chunk, MalformedChunk
from services.llm.tokens import TokenTally

_FINISHES = {"stop": Finish.STOP, "length": Finish.LENGTH, "tool_calls": Finish.TOOL_CALLS, "max_tokens": Finish.LENGTH}
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
        self._logprobs: list[float] = []
        self._counter = usage.ChunkCounter(self._tally)
        self.finish = ""
        self.chunks = 0

    def take(self, chunk: Chunk) -> Sequence[Piece | Thought]:
        """The thoughts and the text of a chunk, or of a whole completion. Raises MalformedChunk."""
        self._tally.report(chunk.usage)
        self.chunks += not chunk.empty
        self.finish = chunk.finish_reason or self.finish
        texts: dict[str, str] = {}
        self._counter.count(chunk)
        for part in chunk.parts:
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
        thought = texts.get("reasoning_content") or texts.get("reasoning") if self._reasoning else ""
        return (*((Thought(thought),) if thought else ()), *((Piece(text),) if text else ()))

    def ended(self) -> Iterator[Calls | Ended]:
        usage.check(self._model, self._tally)
        calls = self._calls.calls
        if calls:
            yield Calls(tuple(ToolCall(call.id or new_id(), call.name, call.arguments) for call in calls))
        finish = _FINISHES.get(self.finish, Finish.STOP)
        # Some say "stop" after calls, and some say "tool_calls" without one.
        if calls:
            finish = Finish.TOOL_CALLS
        elif finish is Finish.TOOL_CALLS:
            finish = Finish.STOP
        confidence = math.exp(math.fsum(self._logprobs) / len(self._logprobs)) if self._logprobs else None
        yield Ended(finish, self._tally.counts, confidence)

    def _choice(self, choice: Mapping[str, Any]) -> None:
        message = choice.get("delta") or choice.get("message") or {}
        for place, call in enumerate(message.get("tool_calls") or ()):
            self._calls.add(call, place)
        for token in (choice.get("logprobs") or {}).get("content") or ():
            self._logprobs.append(min(0.0, float(token["logprob"])))
