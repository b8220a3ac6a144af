"""Bytes as text."""

import codecs
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
# Encodings that a page may be in. Python knows others too, some of which take long, and some that are none of texts.
_KNOWN = re.compile(
    r"utf-8|iso8859-\d{1,2}|cp125\d|cp866|cp874|cp932|cp949|cp950|koi8-[rut]|gb18030|big5(hkscs)?|euc_(jp|kr)|shift_jis"
    r"|shift_jisx0213|iso2022_(jp|kr)|hz|mac-roman|mac-cyrillic|tis-620"
)
# What the web means by these names (WHATWG's Encoding Standard).
_WEB = {
    "iso-8859-1": "cp1252", "latin1": "cp1252", "latin-1": "cp1252", "us-ascii": "cp1252", "ascii": "cp1252",
    "iso-8859-9": "cp1254", "iso-8859-11": "cp874", "tis-620": "cp874", "gb2312": "gb18030", "gbk": "gb18030",
    "shift_jis": "cp932", "sjis": "cp932", "x-sjis": "cp932", "euc-kr": "cp949", "ks_c_5601-1987": "cp949",
}  # fmt: skip


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
        raise DocumentUnreadable(f"not valid {encoding.upper()}{at}; is it a binary file?") from error
    sample = text[:65536]
    if "\x00" in text or len(_CONTROL.findall(sample)) > _CONTROL_SHARE * len(sample):
        raise DocumentUnreadable(_BINARY)
    return Text(text.replace("\r\n", "\n").replace("\r", "\n"), encoding)


def codec_of(charset: str) -> str:
    """The encoding that a charset's name means on the web; "" for none that is known."""
    named = charset.strip().lower()
    try:
        name = codecs.lookup(_WEB.get(named, named)).name
    except (LookupError, ValueError):
        return ""
    return name if _KNOWN.fullmatch(name) else ""
