"""The media type of a document: the one given, or by its id's ending."""

from pathlib import PurePosixPath

from services.retrieval.errors import MediaTypeUnsupported
from services.runtime.media_types import ALIASES, MEDIA_TYPES, PLAIN


def media_type_of(given: str, document_id: str) -> str:
    """The document's media type: the one given, else by the id's ending; an id without one is plain text.

    Raises MediaTypeUnsupported for any that cannot be read.
    """
    if given:
        named = given.partition(";")[0].strip().lower()
        media_type = ALIASES.get(named, named)
        if media_type not in MEDIA_TYPES.values():
            raise MediaTypeUnsupported(f"documents of type {given[:100]!r} cannot be read", media_type=given[:100])
        return media_type
    ending = PurePosixPath(document_id).suffix.lower()
    if ending and ending not in MEDIA_TYPES:
        raise MediaTypeUnsupported(f"files ending in {ending[:20]!r} cannot be read; give media_type if it is text")
    return MEDIA_TYPES.get(ending, PLAIN)
