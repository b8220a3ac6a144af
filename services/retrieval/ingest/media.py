"""The media type of a document: the one given, or by its id's ending."""

from pathlib import PurePosixPath

from services.retrieval.errors import MediaTypeUnsupported
from services.runtime.media_types import MEDIA_TYPES, PLAIN, by_ending, by_name


def media_type_of(given: str, document_id: str) -> str:
    """The document's media type: the one given, else by the id's ending; an id without one is plain text.

    Raises MediaTypeUnsupported for any that cannot be read.
    """
    if given:
        media_type = by_name(given)
        if media_type not in MEDIA_TYPES.values():
            raise MediaTypeUnsupported(f"documents of type {given[:100]!r} cannot be read", media_type=given[:100])
        return media_type
    told, ending = by_ending(document_id), PurePosixPath(document_id).suffix.lower()
    if ending and told is None:
        raise MediaTypeUnsupported(
            f"files ending in {ending[:20]!r} cannot be read; if it is text, rename it to end in .txt, or over gRPC "
            f"give it the media_type {PLAIN}"
        )
    return told or PLAIN
