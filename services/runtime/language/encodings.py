"""How a text says its encoding, and which bytes are no text: one answer for who sends a file and who reads it."""

import codecs

# UTF-32's mark begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def encoding_of(data: bytes) -> tuple[str, int]:
    """The encoding that the byte order mark names, or UTF-8; and the length of the mark."""
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return encoding, len(mark)
    return "utf-8", 0


def is_utf8(data: bytes) -> bool:
    """Whether the bytes are valid UTF-8."""
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def is_binary(start: bytes) -> bool:
    """Whether a file that begins with these bytes holds NUL characters, which no text does."""
    encoding, length = encoding_of(start)
    if encoding == "utf-8":
        return b"\0" in start
    return "\0" in codecs.getincrementaldecoder(encoding)("ignore").decode(start[length:])
