"""Just enough of server-sent events to time a streamed answer's chunks without parsing each."""

import json
import re
from typing import Any

PREFIX = b"data: "
END = b"\n\n"
DONE = b"[DONE]"
CONTENT = re.compile(rb'"content":\s*"((?:[^"\\]|\\.)+)"')
USAGE = re.compile(rb'"usage":\s*\{')
ERROR = re.compile(rb'^\{\s*"error":')


class Events:
    """Takes bytes as they come and gives the data of the events that are complete."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> list[bytes]:
        *events, self._buffer = (self._buffer + data).replace(b"\r\n", b"\n").split(END)
        return [event.removeprefix(PREFIX) for event in events if event.startswith(PREFIX)]


def text_size(event: bytes) -> int:
    """Bytes of text that a chat completion's chunk carries, as JSON writes it; 0 where it carries none."""
    found = CONTENT.search(event)
    return len(found[1]) if found else 0


def usage_of(event: bytes) -> dict[str, Any] | None:
    """The usage in a chunk, if it is there."""
    return dict(json.loads(event)["usage"]) if USAGE.search(event) else None


def is_error(event: bytes) -> bool:
    return ERROR.search(event) is not None
