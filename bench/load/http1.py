"""Just enough of HTTP/1.1 to read responses quickly: a head, then a body by its length or in chunks."""

from dataclasses import dataclass

from bench.kit import BenchError

HEAD_END = b"\r\n\r\n"
LINE_END = b"\r\n"
MOST_HEAD = 65536


class BadResponse(BenchError):
    """What came is not an HTTP/1.1 response that can be read."""


@dataclass(frozen=True, slots=True)
class Response:
    """A whole response. `close`: the server ends the connection after it."""

    status: int
    body: bytes
    close: bool


class ResponseReader:
    """Takes bytes as they come and gives responses as they are complete."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._reset()

    @property
    def body_begun(self) -> bool:
        """Whether some of the present response's body has come."""
        return bool(self._body) or (self._in_body and bool(self._buffer))

    def feed(self, data: bytes) -> Response | None:
        """The response that is complete with these bytes, if one is. Raises BadResponse."""
        self._buffer += data
        if not self._in_body and not self._read_head():
            return None
        done = self._read_chunks() if self._length is None else self._read_length(self._length)
        if not done:
            return None
        response = Response(self._status, bytes(self._body), self._close)
        self._reset()
        return response

    def take(self) -> bytes:
        """What has come of the present response's body since this was last asked; its Response will lack it."""
        taken = bytes(self._body)
        self._body.clear()
        return taken

    @property
    def status(self) -> int:
        """Of the response whose body is being read; 0 before its head has come."""
        return self._status

    def _reset(self) -> None:
        self._in_body = False
        self._status = 0
        self._close = False
        self._length: int | None = None
        self._body = bytearray()

    def _read_head(self) -> bool:
        end = self._buffer.find(HEAD_END)
        if end < 0:
            if len(self._buffer) > MOST_HEAD:
                raise BadResponse(f"a response's head is longer than {MOST_HEAD} bytes")
            return False
        lines = bytes(self._buffer[:end]).split(LINE_END)
        del self._buffer[: end + len(HEAD_END)]
        self._status = _status(lines[0])
        headers = dict(_header(line) for line in lines[1:])
        self._close = headers.get(b"connection", b"").lower() == b"close"
        self._length = _body_length(self._status, headers)
        self._in_body = True
        return True

    def _read_length(self, length: int) -> bool:
        if len(self._buffer) < length:
            return False
        self._body += self._buffer[:length]
        del self._buffer[:length]
        return True

    def _read_chunks(self) -> bool:
        while True:
            end = self._buffer.find(LINE_END)
            if end < 0:
                return False
            size = _number(bytes(self._buffer[:end]).partition(b";")[0], 16)
            start = end + len(LINE_END)
            if len(self._buffer) < start + size + len(LINE_END):
                return False
            self._body += self._buffer[start : start + size]
            del self._buffer[: start + size + len(LINE_END)]
            if size == 0:
                return True


def request(path: str, host: str, headers: dict[str, str], body: bytes) -> bytes:
    """A POST of JSON as it goes over the wire."""
    head = {"host": host, "content-type": "application/json", "content-length": str(len(body)), **headers}
    lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in head.items())]
    return "\r\n".join(lines).encode() + HEAD_END + body


def _status(line: bytes) -> int:
    version, _, rest = line.partition(b" ")
    if not version.startswith(b"HTTP/1."):
        raise BadResponse(f"not an HTTP/1.1 response: {line[:80]!r}")
    return _number(rest[:3], 10)


def _header(line: bytes) -> tuple[bytes, bytes]:
    name, _, value = line.partition(b":")
    return name.strip().lower(), value.strip()


def _body_length(status: int, headers: dict[bytes, bytes]) -> int | None:
    """The body's length; None where it comes in chunks."""
    if status in (204, 304):
        return 0
    if headers.get(b"transfer-encoding", b"").lower() == b"chunked":
        return None
    if b"content-length" not in headers:
        raise BadResponse("a response has neither a content-length nor chunks")
    return _number(headers[b"content-length"], 10)


def _number(digits: bytes, base: int) -> int:
    try:
        return int(digits, base)
    except ValueError as error:
        raise BadResponse(f"{digits[:20]!r} is not a number") from error
