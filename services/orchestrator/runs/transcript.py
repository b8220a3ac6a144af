"""What a run adds to its session: its events, folded into messages."""

from collections.abc import Iterator

from services.llm.chat import Message, Role
from services.orchestrator.domain.event import Body, TextDelta, ToolCallRequested, ToolResultReceived
from services.orchestrator.domain.tool import ToolCall


class SessionTranscript:
    """As the caller saw it: the text that was sent, the calls, their results."""

    def __init__(self) -> None:
        self._messages: list[Message] = []
        self._text: list[str] = []
        self._calls: list[ToolCall] = []

    def add(self, body: Body) -> None:
        if isinstance(body, TextDelta):
            if self._calls:
                self._close()
            self._text.append(body.text)
        elif isinstance(body, ToolCallRequested):
            self._calls.append(body.call)
        elif isinstance(body, ToolResultReceived):
            self._close()
            result = body.result
            self._messages.append(Message(Role.TOOL, result.content, (), result.call_id, result.name))

    def _close(self) -> None:
        if self._text or self._calls:
            self._messages.append(Message(Role.ASSISTANT, "".join(self._text), tuple(self._calls)))
            self._text, self._calls = [], []

    def messages(self) -> Iterator[Message]:
        """All of it, the oldest first."""
        self._close()
        yield from self._messages
