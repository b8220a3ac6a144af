"""What a run adds to its session: its events, folded into messages."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from services.llm.chat import Message, Role
from services.orchestrator.domain.event import (
    ApprovalDecided,
    ApprovalRequested,
    Body,
    TextDelta,
    ToolCallRequested,
    ToolResultReceived,
)
from services.orchestrator.domain.tool import ToolCall


class SessionTranscript:
    """As the caller saw it: the text that was sent, the calls as they were made, their results."""

    def __init__(self) -> None:
        self._messages: list[Message] = []
        self._text: list[str] = []
        self._calls: list[ToolCall] = []
        self._gated: dict[str, ToolCall] = {}

    def add(self, body: Body) -> None:
        if isinstance(body, TextDelta):
            if self._calls:
                self._close()
            self._text.append(body.text)
        elif isinstance(body, ToolCallRequested):
            # What stands beside a call is wanted with its result, which of a caller's tool the next run has.
            self._calls.append(body.call if body.callers else replace(body.call, beside=""))
        elif isinstance(body, ApprovalRequested) and body.call is not None:
            self._gated[body.approval_id] = body.call
        elif isinstance(body, ApprovalDecided) and body.replacement and body.approval_id in self._gated:
            self._edit(replace(self._gated[body.approval_id], arguments_json=body.replacement))
        elif isinstance(body, ToolResultReceived):
            self._close()
            result = body.result
            self._messages.append(Message(Role.TOOL, result.content, (), result.call_id, result.name))

    def _edit(self, call: ToolCall) -> None:
        """A person has changed the call's arguments."""

        def edited(calls: Iterable[ToolCall]) -> list[ToolCall]:
            return [call if one.id == call.id else one for one in calls]

        self._calls = edited(self._calls)
        self._messages = [replace(one, tool_calls=tuple(edited(one.tool_calls))) for one in self._messages]

    def _close(self) -> None:
        if self._text or self._calls:
            self._messages.append(Message(Role.ASSISTANT, "".join(self._text), tuple(self._calls)))
            self._text, self._calls = [], []

    def messages(self) -> Iterator[Message]:
        """All of it, the oldest first."""
        self._close()
        yield from self._messages
