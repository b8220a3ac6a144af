"""Bytes as text."""

import re

from services.retrieval.errors import DocumentUnreadable
from services.runtime.language.encodings import encoding_of

_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
_CONTROL_SHARE = 0.02


# What a page may say of itself, and what browsers take that for. Python knows others too, some of which take long.
_DECLARED = re.compile(r"iso-8859-\d{1,2}|windows-125\d|koi8-[ru]|gb2312|gbk|gb18030|big5|euc-(?:jp|kr)|shift_jis")
_TAKEN_FOR = {"iso-8859-1": "windows-1252", "gb2312": "gb18030", "gbk": "gb18030"}


def decode(data: bytes, declared: str = "") -> str:
    """The text, by its byte order mark, or else as UTF-8, or else in the encoding that it declares. Raises
    DocumentUnreadable for anything else."""
    encoding, mark = encoding_of(data)
    try:
        text = data[mark:].decode(encoding)
    except UnicodeDecodeError as error:
        if mark or not _DECLARED.fullmatch(declared.lower()):
            raise DocumentUnreadable(
                f"not valid {encoding.upper()} at byte {error.start}; is it a binary file?"
            ) from error
        text = _declared(data, declared.lower())
    sample = text[:65536]
    if "\x00" in text or len(_CONTROL.findall(sample)) > _CONTROL_SHARE * len(sample):
        raise DocumentUnreadable("it holds control characters as binary files do")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _declared(data: bytes, encoding: str) -> str:
    try:
        return data.decode(_TAKEN_FOR.get(encoding, encoding))
    except UnicodeDecodeError as error:
        raise DocumentUnreadable(f"not valid {encoding.upper()}, as it says, at byte {error.start}") from error
