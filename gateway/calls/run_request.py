"""What a caller asks of a run, as guards and counters read it: every text in it."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise

from headworks.orchestrator.v1 import orchestrator_service_pb2 as pb
from headworks.orchestrator.v1 import run_pb2, tool_pb2

from gateway.cache.question import Asked
from gateway.calls.beside import BesideTexts
from gateway.calls.prompt_use import PromptUse
from gateway.calls.request import ANSWER_TOKENS, ModelRequest
from services.llm.tokens import call_text, estimate_prompt, message_text, tool_text

# For each message where its parts were joined, each joint being one character.
Seams = Sequence[Sequence[int]]
_Put = Callable[[str], None]


class RunTexts:
    """The texts of a request. `seams`: where in the messages' contents there were parts. `prompt`: one of the tenant's,
    whose messages come before the caller's own."""

    def __init__(self, request: pb.RunRequest, seams: Seams = (), prompt: PromptUse | None = None) -> None:
        self._request = request
        self._prompt = prompt
        self._places: list[tuple[str, _Put]] = []
        self._besides: list[tuple[tool_pb2.ToolCall, BesideTexts]] = []
        self._unread = ""
        self._said: list[list[int]] = []
        for number, message in enumerate(request.messages):
            self._content(message, seams[number] if seams else ())
            self._fields(message, "name", "tool_call_id", "reasoning")
            for call in message.tool_calls:
                self._fields(call, "id", "name", "arguments")
                self._beside(call)
        for tool in request.tools:
            self._fields(tool, "name", "description", "parameters")
        self._fields(request.tool_choice, "function")
        self._fields(request.response_format, "name", "schema")
        for place, text in enumerate(request.sampling.stop):
            self._add(text, partial(request.sampling.stop.__setitem__, place))

    def asked(
        self, model: str, instructions: str, models: Sequence[str] = (), cached: Asked | None = None
    ) -> ModelRequest:
        """The same as the pipeline takes it. `instructions`: the agent's own; `models`: those that it asks."""
        request = self._request
        protected = [instructions] if instructions else []
        if self._prompt is not None and self._prompt.instructions:
            protected.append(self._prompt.instructions)
        protected += [each.content for each in request.messages if each.role == each.ROLE_SYSTEM and each.content]
        most = max(0, request.sampling.max_tokens) if request.HasField("sampling") else 0
        texts, flows = [text for text, _ in self._places], self._said
        if self._prompt is not None:
            flows = [list(range(len(texts), len(texts) + len(self._prompt.texts))), *flows]
            texts += self._prompt.texts
        return ModelRequest(
            model, texts, "\n".join(protected), prompt_tokens=estimate_prompt(self._counted(instructions)),
            answer_tokens=min(most, ANSWER_TOKENS) or ANSWER_TOKENS, flows=flows,
            unread=self._unread, models=models, cached=cached,
        )  # fmt: skip

    def put(self, texts: Sequence[str]) -> None:
        """Write others in their places: as many, in the same order; and the prompt's messages before the others. Raises
        BadVariables."""
        own, given = texts[: len(self._places)], texts[len(self._places) :]
        changed = [(put, text) for (old, put), text in zip(self._places, own, strict=True) if text != old]
        for put, text in reversed(changed):
            put(text)
        for call, beside in self._besides if changed else ():
            call.beside = beside.text
        if self._prompt is not None:
            self._prompt.put(given)
            messages = [
                run_pb2.Message(role=int(one.role), content=one.content)  # type: ignore[arg-type]  # the values are the contract's
                for one in self._prompt.messages
            ]
            messages += self._request.messages
            del self._request.messages[:]
            self._request.messages.extend(messages)
            self._request.prompt.variables.clear()
            self._request.prompt.messages = len(self._prompt.messages)

    def _counted(self, instructions: str) -> list[str]:
        """The same as a model reads it: the instructions, what messages say, the calls in them, the tools and the form
        of the answer."""
        request, counted = self._request, [instructions] * bool(instructions)
        counted += [message_text("", each.content) for each in (self._prompt.messages if self._prompt else ())]
        for message in request.messages:
            counted.append(message_text(message.name, message.content))
            calls = [call_text(call.name, call.arguments, call.beside) for call in message.tool_calls]
            if calls:
                calls[0] += message.reasoning
            counted += calls
        counted += [tool_text(tool.name, tool.description, tool.parameters) for tool in request.tools]
        return counted + [request.response_format.schema] * bool(request.response_format.schema)

    def _content(self, message: run_pb2.Message, seams: Sequence[int]) -> None:
        edges = [-1, *seams, len(message.content)]
        parts = [message.content[start + 1 : end] for start, end in pairwise(edges)]

        def put(place: int, text: str) -> None:
            parts[place] = text
            message.content = "\n".join(parts)

        first = len(self._places)
        self._said.append(list(range(first, first + len(parts))))
        for place, part in enumerate(parts):
            self._add(part, partial(put, place))

    def _fields(self, holder: object, *names: str) -> None:
        for name in names:
            if text := getattr(holder, name):
                self._add(text, partial(setattr, holder, name))

    def _beside(self, call: tool_pb2.ToolCall) -> None:
        if not call.beside:
            return
        beside = BesideTexts(call.beside)
        self._besides.append((call, beside))
        self._unread = self._unread or beside.unread
        for leaf in beside.leaves:
            self._add(leaf.text, leaf.put)

    def _add(self, text: str, put: _Put) -> None:
        self._places.append((text, put))
