"""Bytes as text."""

import re
from dataclasses import dataclass

from services.retrieval.errors import DocumentUnreadable
from services.retrieval.ingest.charsets import detect
from services.runtime.language.encodings import encoding_of, is_utf8

_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
_CONTROL_SHARE = 0.02
_BINARY = "it holds control characters as binary files do"
# Encodings whose bytes are valid UTF-8, whatever they say.
ASCII_ALONE = frozenset(("iso2022_jp", "iso2022_kr", "hz"))


@dataclass(frozen=True, slots=True)
class Text:
    """A text with line feeds alone, and the encoding that it was in."""

    text: str
    encoding: str


def decode(data: bytes, declared: str = "") -> Text:
    """The text, by its byte order mark, else as UTF-8, else by the encoding that it declares ("" for none), else by
    what it reads as. Raises DocumentUnreadable for what is no text, EncodingUnknown where the encoding is unsure."""
    encoding, mark = encoding_of(data)
    if not mark and (declared in ASCII_ALONE or not is_utf8(data)):
        encoding = declared
        if not declared:
            if b"\0" in data:
                raise DocumentUnreadable(_BINARY)
            encoding = detect(data)
    try:
        text = data[mark:].decode(encoding)
    except (UnicodeDecodeError, LookupError) as error:
        at = f" at byte {error.start}" if isinstance(error, UnicodeDecodeError) else ""
        says = "its byte order mark says it is" if mark else "it says it is" if declared else "it begins as"
        raise DocumentUnreadable(
            f"not valid {encoding.upper()}{at}, which {says}: save it as UTF-8, or convert it with iconv"
        ) from error
    sample = text[:65536]
    if "\x00" in text or len(_CONTROL.findall(sample)) > _CONTROL_SHARE * len(sample):
        raise DocumentUnreadable(_BINARY)
    return Text(text.replace("\r\n", "\n").replace("\r", "\n"), encoding)
