"""What a fetched page is: its media type, and its text in an encoding that everybody reads."""

import codecs
from email.message import Message
from pathlib import PurePosixPath

from services.runtime.media_types import ALIASES, MEDIA_TYPES

# Types by which a server says that it does not know; the address's ending does then.
UNTOLD = ("", "application/octet-stream", "binary/octet-stream")
# What the web means by these names (WHATWG's Encoding Standard).
WEB = {"iso-8859-1": "cp1252", "latin1": "cp1252", "latin-1": "cp1252", "us-ascii": "cp1252", "ascii": "cp1252"}


class BadText(ValueError):
    """The bytes are not of the encoding that their server names."""


def content_type(header: str) -> tuple[str, str]:
    """The media type and the charset of a Content-Type, in lower case; empty where it has none."""
    message = Message()
    message["Content-Type"] = header
    named = header.partition(";")[0].strip().lower()
    charset = message.get_param("charset", "")
    return ALIASES.get(named, named), charset.strip().lower() if isinstance(charset, str) else ""


def media_type_of(header: str, path: str) -> str:
    """The media type of a page: the server's, or by the ending where it does not know; empty for what cannot be
    ingested."""
    named, _ = content_type(header)
    if named in UNTOLD:
        named = MEDIA_TYPES.get(PurePosixPath(path).suffix.lower(), "")
    return named if named in MEDIA_TYPES.values() else ""


def as_utf8(header: str, data: bytes) -> bytes:
    """A text in the charset that its Content-Type names as UTF-8 with a byte order mark, which goes before whatever the
    text says of itself; anything else as it is. Raises BadText."""
    named, charset = content_type(header)
    if not named.startswith("text/") or not charset or data.startswith(codecs.BOM_UTF8):
        return data
    try:
        codec = codecs.lookup(WEB.get(charset, charset))
    except (LookupError, ValueError) as error:
        raise BadText(f"its charset {charset[:50]!r} is not known") from error
    if codec.name == "utf-8":
        return data
    try:
        return codecs.BOM_UTF8 + codec.decode(data, "strict")[0].encode()
    except (UnicodeError, AttributeError, TypeError) as error:
        raise BadText(f"it is not valid {charset}, which its server says it is") from error
