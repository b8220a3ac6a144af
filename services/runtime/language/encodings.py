"""How a text says its encoding, and which bytes are no text: one answer for who sends a file and who reads it."""

import codecs
import re

# UTF-32's mark begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# Encodings that a page may be in. Python knows others too, some of which take long, and some that are none of texts.
_KNOWN = re.compile(
    r"utf-8|iso8859-\d{1,2}|cp125\d|cp866|cp874|cp932|cp949|cp950|koi8-[rut]|gb18030|big5(hkscs)?|euc_(jp|kr)|shift_jis"
    r"|shift_jisx0213|iso2022_(jp|kr)|hz|mac-roman|mac-cyrillic|tis-620"
)
_WIDE = re.compile(r"utf-(16|32)(-[bl]e)?")
# What the web means by these names (WHATWG's Encoding Standard).
_WEB = {
    "iso-8859-1": "cp1252", "latin1": "cp1252", "latin-1": "cp1252", "us-ascii": "cp1252", "ascii": "cp1252",
    "iso-8859-9": "cp1254", "iso-8859-11": "cp874", "tis-620": "cp874", "gb2312": "gb18030", "gbk": "gb18030",
    "shift_jis": "cp932", "sjis": "cp932", "x-sjis": "cp932", "euc-kr": "cp949", "ks_c_5601-1987": "cp949",
}  # fmt: skip


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


def codec_of(charset: str, wide: bool = False) -> str:
    """The encoding that a charset's name means on the web; "" for none that is known. `wide`: UTF-16 and UTF-32 are,
    which a server may say of a page, but no page of itself."""
    named = charset.strip().lower()
    try:
        name = codecs.lookup(_WEB.get(named, named)).name
    except (LookupError, ValueError):
        return ""
    return name if _KNOWN.fullmatch(name) or (wide and _WIDE.fullmatch(name)) else ""
