"""Bytes as text."""

import re

from services.retrieval.errors import DocumentUnreadable
from services.runtime.language.encodings import encoding_of

_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
_CONTROL_SHARE = 0.02


def decode(data: bytes) -> str:
    """The text, by its byte order mark or else as UTF-8. Raises DocumentUnreadable for anything else."""
    encoding, mark = encoding_of(data)
    try:
        text = data[mark:].decode(encoding)
    except UnicodeDecodeError as error:
        raise DocumentUnreadable(f"not valid {encoding.upper()} at byte {error.start}; is it a binary file?") from error
    sample = text[:65536]
    if "\x00" in text or len(_CONTROL.findall(sample)) > _CONTROL_SHARE * len(sample):
        raise DocumentUnreadable("it holds control characters as binary files do")
    return text.replace("\r\n", "\n").replace("\r", "\n")
