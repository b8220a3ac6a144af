"""Forms with files (multipart/form-data), read as they come: never more of one in memory than what just came."""

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from gateway.faces.http.errors import UnsupportedType
from services.runtime.errors import InvalidArgument

FORM = b"multipart/form-data"
MOST_FIELDS = 32


@dataclass(frozen=True, slots=True)
class FormField:
    """Begins a field of a form; one with a filename, which may be empty, is a file."""

    name: str
    filename: str | None = None


FormEvent = FormField | bytes
"""The beginning of a field, or the next bytes of the one that was begun last."""


class _Reader:
    """Collects what the parser finds in one piece of the body."""

    def __init__(self, boundary: bytes) -> None:
        self.events: list[FormEvent] = []
        self.ended = False
        self._fields = 0
        self._header, self._value = b"", b""
        self._disposition = b""
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_part_data": lambda data, start, end: self.events.append(bytes(data[start:end])),
                "on_header_field": self._name,
                "on_header_value": self._content,
                "on_header_end": self._header_end,
                "on_headers_finished": self._field,
                "on_end": self._end,
            },
        )

    def feed(self, data: bytes) -> list[FormEvent]:
        """What is in the next bytes of the body. Raises InvalidArgument."""
        self.events = []
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise InvalidArgument("the body is not a valid form") from error
        return self.events

    def _begin(self) -> None:
        self._fields += 1
        if self._fields > MOST_FIELDS:
            raise InvalidArgument(f"a form has at most {MOST_FIELDS} fields")
        self._disposition = b""

    def _name(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _content(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = self._value
        self._header, self._value = b"", b""

    def _field(self) -> None:
        _, options = parse_options_header(self._disposition)
        if b"name" not in options:
            raise InvalidArgument("a field of the form has no name")
        filename = options.get(b"filename")
        self.events.append(FormField(_text(options[b"name"]), None if filename is None else _text(filename)))

    def _end(self) -> None:
        self.ended = True


async def read_form(content_type: str, body: AsyncIterator[bytes]) -> AsyncGenerator[FormEvent, None]:
    """The fields of a form in their order, each followed by its bytes. Raises UnsupportedType for another type, and
    InvalidArgument for what is no form or ends early."""
    kind, options = parse_options_header(content_type)
    if kind != FORM or not options.get(b"boundary"):
        raise UnsupportedType("The body must be a form: send content-type: multipart/form-data with its boundary.")
    try:
        reader = _Reader(options[b"boundary"])
    except FormParserError as error:
        raise InvalidArgument("the boundary of the form is too long") from error
    async for data in body:
        for event in reader.feed(data):
            yield event
    if not reader.ended:
        raise InvalidArgument("the form ends early")


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")
