"""Server-sent events out of bytes as they come. Pure."""

LONGEST = 4 << 20  # bytes that one event may have
DONE = b"[DONE]"
DONE_EVENT = b"data: " + DONE + b"\n\n"


class EventTooLong(ValueError):
    """An event has more than LONGEST bytes."""


class EventReader:
    """Takes bytes in any portions and gives the events that are complete, as they came, each without its empty line.

    Lines end with CR, LF or both, as the standard has it.
    """

    def __init__(self, longest: int = LONGEST) -> None:
        self._longest = longest
        self._rest = b""

    def feed(self, portion: bytes) -> list[bytes]:
        """Raises EventTooLong."""
        data = self._rest + portion if self._rest else portion
        held = b""
        if b"\r" in data:
            if data.endswith(b"\r"):  # its "\n" may be under way
                data, held = data[:-1], b"\r"
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *events, rest = data.split(b"\n\n")
        self._rest = rest + held
        if len(self._rest) > self._longest:
            raise EventTooLong(f"more than {self._longest} bytes")
        return [event for event in events if event]

    def end(self) -> list[bytes]:
        """What an upstream meant that left out the last empty line."""
        rest, self._rest = self._rest.strip(), b""
        return [rest] if rest else []


def data_of(event: bytes) -> bytes:
    """An event's data; empty where it has none, as a comment."""
    if event.startswith(b"data:") and b"\n" not in event:
        return event[5:].strip()
    lines = (line[5:].removeprefix(b" ") for line in event.split(b"\n") if line.startswith(b"data:"))
    return b"\n".join(lines).strip()
