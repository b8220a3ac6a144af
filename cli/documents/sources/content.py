"""What a fetched page is: its media type, and its text in an encoding that everybody reads."""

import codecs
from email.message import Message

from services.runtime.language.encodings import codec_of, encoding_of
from services.runtime.media_types import MEDIA_TYPES, by_ending, by_name

# Types by which a server says that it does not know; the address's ending does then.
UNTOLD = ("", "application/octet-stream", "binary/octet-stream")


class BadText(ValueError):
    """The bytes are not of the encoding that their server names."""


def content_type(header: str) -> tuple[str, str]:
    """The media type and the charset of a Content-Type, in lower case; empty where it has none."""
    message = Message()
    message["Content-Type"] = header
    charset = message.get_param("charset", "")
    return by_name(header), charset.strip().lower() if isinstance(charset, str) else ""


def media_type_of(header: str, path: str) -> str:
    """The media type of a page: the server's, or by the ending where it does not know; empty for what cannot be
    ingested."""
    named, _ = content_type(header)
    if named in UNTOLD:
        named = by_ending(path) or ""
    return named if named in MEDIA_TYPES.values() else ""


def as_utf8(header: str, data: bytes) -> bytes:
    """A text in the charset that its Content-Type names as UTF-8 with a byte order mark, which goes before whatever the
    text says of itself; one that has such a mark, and anything else, as it is. Raises BadText."""
    named, charset = content_type(header)
    if not named.startswith("text/") or not charset or encoding_of(data)[1]:
        return data
    codec = codec_of(charset, wide=True)
    if not codec:
        raise BadText(f"its charset {charset[:50]!r} is not known")
    if codec == "utf-8":
        return data
    try:
        return codecs.BOM_UTF8 + data.decode(codec).encode()
    except UnicodeError as error:
        raise BadText(f"it is not valid {charset}, which its server says it is") from error
