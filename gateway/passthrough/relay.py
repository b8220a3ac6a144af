"""An upstream's stream to the caller's: pure, portion by portion."""

import time
from collections.abc import Sequence
from typing import Any

import orjson

from gateway.faces.http.openai.fields import Json
from gateway.passthrough.ports import Screen
from gateway.passthrough.screening import Screening
from gateway.passthrough.spending import Spending, usage_json
from services.llm import errors
from services.llm.endpoint import Endpoint
from services.llm.openai.chunks import Chunk
from services.llm.openai.engine import decode
from services.llm.openai.events import DONE, DONE_EVENT, EventReader, EventTooLong, data_of
from services.runtime.errors import DomainError

BLOCKED, BUDGET = "content_filter", "budget"
_END = b"\n\n"


class Relay:
    """Takes what the upstream sends and gives what may go out.

    The end of the message and its usage are kept for `last`, so that they can wait until the books are written.
    `done`: the upstream is at its end. `blocked`: the screen has ended the answer. `failed`: what the upstream said
    ended it, after what has been given.
    """

    def __init__(self, endpoint: Endpoint, tally: Spending, include_usage: bool, screen: Screen | None) -> None:
        self._endpoint = endpoint
        self._tally = tally
        self._include_usage = include_usage
        self._screening = Screening(screen) if screen else None
        self._reader = EventReader()
        self._head: Json = {}
        self._end: list[bytes] = []
        self.done = False
        self.failed: DomainError | None = None

    @property
    def blocked(self) -> bool:
        return self._screening is not None and self._screening.blocked

    def take(self, portion: bytes) -> bytes:
        """The next bytes of the upstream. Raises a DomainError for what is no answer."""
        try:
            return self._take(self._reader.feed(portion))
        except EventTooLong as error:
            raise errors.broken(self._endpoint, f"has an event of {error}") from error

    def closed(self) -> bytes:
        """The upstream has closed its stream. Raises UpstreamBroken where the answer had no end."""
        out = self._take(self._reader.end())
        if not self.done and not self._tally.finish_reason:
            raise errors.broken(self._endpoint, "broke off")
        self.done = True
        return out

    def finish(self) -> bytes:
        """What the screen still held back: no more text comes. It may find something to block in it."""
        return _joined(self._screening.finish()) if self._screening else b""

    def last(self, reason: str = "") -> bytes:
        """The end of the stream: the upstream's own, or one for `reason`."""
        if not reason:
            return _joined(self._end) + DONE_EVENT
        spent = self._tally.spent(reason)
        end = self._chunk([{"index": 0, "delta": {}, "logprobs": None, "finish_reason": reason}])
        usage = self._chunk([], usage=usage_json(spent)) if self._include_usage else b""
        return end + usage + DONE_EVENT

    def _take(self, events: Sequence[bytes]) -> bytes:
        come: list[Chunk] = []
        for event in events:
            try:
                found = self._read(event)
            except DomainError as error:
                if not come:
                    raise
                self.failed = error
                break
            if found is not None:
                come.append(found)
        self._tally.take(come)
        ahead: list[Chunk] = []
        for one in come:
            if one.empty or (one.finish_reason and not one.parts):
                if self._include_usage or not one.empty:
                    self._end.append(one.raw)
            else:
                ahead.append(one)
        if come and not self._head:
            self._head = {name: come[0].json.get(name) for name in ("id", "created", "model")}
        return _joined(self._screening.take(ahead, self.done) if self._screening else [one.raw for one in ahead])

    def _read(self, event: bytes) -> Chunk | None:
        data = data_of(event)
        if data == DONE:
            self.done = True
        if not data or self.done:
            return None
        return decode(self._endpoint, event, data)

    def _chunk(self, choices: list[Json], **more: Any) -> bytes:
        head = {"id": "", "created": int(time.time()), "model": self._endpoint.model} | self._head
        return b"data: " + orjson.dumps({**head, "object": "chat.completion.chunk", "choices": choices, **more}) + _END


def _joined(events: Sequence[bytes]) -> bytes:
    return _END.join((*events, b"")) if events else b""
