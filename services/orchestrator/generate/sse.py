"""Server-sent events out of bytes as they come."""

from collections.abc import Iterator

LONGEST = 4 << 20  # bytes that one event may have


class EventTooLong(ValueError):
    """An event has more than LONGEST bytes."""


class EventReader:
    """Takes bytes in any portions and gives the data of the events that are complete."""

    def __init__(self, longest: int = LONGEST) -> None:
        self._longest = longest
        self._rest = b""
        self._data: list[bytes] = []
        self._size = 0

    def feed(self, portion: bytes) -> Iterator[bytes]:
        """Raises EventTooLong."""
        *lines, rest = (self._rest + portion).split(b"\n")
        self._rest = rest
        for line in lines:
            found = self._line(line.removesuffix(b"\r"))
            if found is not None:
                yield found
        if self._size + len(self._rest) > self._longest:
            raise EventTooLong(f"more than {self._longest} bytes")

    def end(self) -> Iterator[bytes]:
        """What an upstream that left out the last empty line meant."""
        yield from self.feed(b"\n\n")

    def _line(self, line: bytes) -> bytes | None:
        """The event that the line ends, if it ends one. Fields other than data, and comments, say nothing here."""
        if line.startswith(b"data:"):
            self._data.append(line[5:].removeprefix(b" "))
            self._size += len(line)
            if self._size > self._longest:
                raise EventTooLong(f"more than {self._longest} bytes")
        elif not line and self._data:
            found = b"\n".join(self._data)
            self._data.clear()
            self._size = 0
            return found
        return None
