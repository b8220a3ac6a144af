"""One request and its response, by ASGI."""

import math
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from gateway.faces.http.comments import StreamComments, comment
from gateway.faces.http.error_forms import form_of
from gateway.faces.http.errors import BodyTooLarge, UnsupportedType, headers_of, status_of
from gateway.faces.http.message import EVENTS, JSON, Body, StreamForm
from gateway.faces.http.openai.errors import failure
from services.runtime.call import REQUEST_ID_KEY
from services.runtime.errors import DomainError, InvalidArgument

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

CONNECTION = "headworks.connection"
"""Where in the state of a scope the connection is, if the server is ours."""
TIMEOUT_KEY = "x-headworks-timeout"
_SECONDS = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?")
# The body of one who sends none, or says nothing of it, is taken for JSON.
_JSON_TYPES = ("application/json", "")
NOTHING = Body("application/octet-stream", b"")
OPENAI = StreamForm(comment, failure)


class Exchange:
    """`headers` have lower-case names; of a name that comes twice the last counts."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, heartbeat_seconds: float = math.inf) -> None:
        self._receive = receive
        self._send = send
        self._streams = ""
        self._heartbeat_seconds = heartbeat_seconds
        self._comments: StreamComments | None = None
        self._answer_headers: Mapping[str, str] = {}
        self._waits_for = ""
        self._stream_form = OPENAI
        self.verb: str = scope["method"]
        self.path: bytes = scope["raw_path"]
        self.query: str = scope["query_string"].decode("latin-1")
        self.headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        self.peer = _peer(scope.get("client"))
        self._errors = form_of(self.path, self.headers)
        self.extra: dict[str, str] = {}
        self.connection = scope.get("state", {}).get(CONNECTION)
        self.begun = False

    def timeout(self) -> float | None:
        """The seconds that the caller gives. Raises InvalidArgument."""
        given = self.headers.get(TIMEOUT_KEY)
        if given is None:
            return None
        seconds = float(given) if _SECONDS.fullmatch(given) else 0.0
        if seconds <= 0:
            message = f"{TIMEOUT_KEY} must be seconds over 0, under 1000000000 and written in digits, such as 30 or 0.5"
            raise InvalidArgument(message, field=TIMEOUT_KEY)
        return seconds

    async def body(self, most: int) -> bytes:
        """The request's body: JSON of `most` bytes at most. Raises UnsupportedType, BodyTooLarge."""
        self._check_type()
        message = await self._receive()
        data: bytes = message.get("body", b"")
        if message.get("more_body"):
            parts = [data]
            size = len(data)
            while message.get("more_body"):
                message = await self._receive()
                parts.append(message.get("body", b""))
                size += len(parts[-1])
                if size > most:
                    raise BodyTooLarge
            data = b"".join(parts)
        if len(data) > most:
            raise BodyTooLarge
        return data

    @property
    def content_type(self) -> str:
        """What the caller says of the body."""
        said: str = self.headers.get("content-type", "")
        return said

    async def stream(self) -> AsyncGenerator[bytes, None]:
        """The request's body as it comes. A caller who leaves ends it early. Raises UnsupportedType."""
        self._check_encoding()
        more = True
        while more:
            message = await self._receive()
            if data := message.get("body", b""):
                yield data
            more = message.get("more_body", False)

    def _check_type(self) -> None:
        kind, _, rest = self.content_type.partition(";")
        charset = rest.replace(" ", "").lower().removeprefix("charset=").strip('"')
        if kind.strip().lower() not in _JSON_TYPES or charset not in ("", "utf-8"):
            raise UnsupportedType("The body must be JSON in UTF-8: send content-type: application/json.")
        self._check_encoding()

    def _check_encoding(self) -> None:
        if self.headers.get("content-encoding", "identity") != "identity":
            raise UnsupportedType("The body must not be compressed.")

    async def whole(self, status: int, body: Body, headers: Mapping[str, str]) -> None:
        """Send a response whose length is known."""
        length = str(len(body.data)).encode()
        await self._start(status, body.content_type, headers, (b"content-length", length))
        await self._send({"type": "http.response.body", "body": body.data})

    async def write(self, body: Body, headers: Mapping[str, str]) -> None:
        """Send the next part of a response, and before the first its head. A part with nothing in it sends nothing: it
        says of a stream that its work has begun. From then on its silence is broken by comments."""
        if body.content_type == EVENTS:
            self._answer_headers, self._waits_for = headers, body.waits_for
            self._stream_form = body.form or OPENAI
            self._comments = self._comments or StreamComments(self._heartbeat_seconds, self._comment)
            self._comments.life()
            await self._comments.quiet()
        if body.data:
            await self._part(body, headers)

    async def _part(self, body: Body, headers: Mapping[str, str]) -> None:
        if not self.begun:
            self._streams = body.content_type
            await self._start(200, body.content_type, headers)
        await self._send({"type": "http.response.body", "body": body.data, "more_body": True})

    async def _comment(self) -> None:
        await self._part(Body(EVENTS, self._stream_form.silence(self._waits_for)), self._answer_headers)

    def close(self) -> None:
        """See to it that nothing goes out by itself any more."""
        if self._comments is not None:
            self._comments.close()

    async def _quiet(self) -> None:
        """Let a comment that is under way go out, and no other."""
        if self._comments is not None:
            await self._comments.aclose()

    async def end(self) -> None:
        """End a response that came in parts, or in none at all."""
        await self._quiet()
        if not self.begun:
            await self.whole(200, NOTHING, {})
        else:
            await self._send({"type": "http.response.body"})

    async def fail(self, error: DomainError) -> None:
        """Send the error as the response, or as its last event. Any other response that has begun is cut short."""
        await self._quiet()
        if not self.begun:
            request_id = self.extra.get(REQUEST_ID_KEY, "")
            told = Body(JSON, self._errors.body(error, request_id).encode())
            await self.whole(status_of(error), told, headers_of(error) | self._errors.headers(request_id))
        elif self._streams == EVENTS:
            await self._send({"type": "http.response.body", "body": self._stream_form.failure(error)})

    async def _start(
        self, status: int, content_type: str, headers: Mapping[str, str], *more: tuple[bytes, bytes]
    ) -> None:
        self.begun = True
        named = {"content-type": content_type, **headers, **self.extra}
        pairs = [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in named.items()]
        if self.connection is not None and self.verb != "HEAD":
            self.connection.writing.holds = True
        await self._send({"type": "http.response.start", "status": status, "headers": [*pairs, *more]})


def _peer(client: tuple[str, int] | None) -> str:
    """The other end as gRPC writes it."""
    if not client:
        return "unix:"
    host, port = client
    return f"ipv6:[{host}]:{port}" if ":" in host else f"ipv4:{host}:{port}"
