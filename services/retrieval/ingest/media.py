"""Media types: which can be read, and how one is told."""

from pathlib import PurePosixPath

from services.retrieval.errors import MediaTypeUnsupported

PLAIN = "text/plain"
MARKDOWN = "text/markdown"
HTML = "text/html"
PDF = "application/pdf"

_ENDINGS = {
    "": PLAIN,
    ".txt": PLAIN,
    ".text": PLAIN,
    ".md": MARKDOWN,
    ".markdown": MARKDOWN,
    ".htm": HTML,
    ".html": HTML,
    ".xhtml": HTML,
    ".pdf": PDF,
}
_ALIASES = {"text/x-markdown": MARKDOWN, "application/xhtml+xml": HTML, "application/x-pdf": PDF}


def media_type_of(given: str, document_id: str) -> str:
    """The document's media type: the one given, else by the id's ending; an id without one is plain text.

    Raises MediaTypeUnsupported for any that cannot be read.
    """
    if given:
        named = given.partition(";")[0].strip().lower()
        media_type = _ALIASES.get(named, named)
        if media_type not in _ENDINGS.values():
            raise MediaTypeUnsupported(f"documents of type {given[:100]!r} cannot be read", media_type=given[:100])
        return media_type
    ending = PurePosixPath(document_id).suffix.lower()
    if ending not in _ENDINGS:
        raise MediaTypeUnsupported(f"files ending in {ending[:20]!r} cannot be read; give media_type if it is text")
    return _ENDINGS[ending]
