"""Bytes in, passages out: reading and splitting together, which is all the work that needs no model."""

from collections.abc import Callable
from dataclasses import dataclass

from services.retrieval.errors import DocumentEmpty
from services.retrieval.ingest import media
from services.retrieval.ingest.blocks import Extract
from services.retrieval.ingest.markdown import read_markdown
from services.retrieval.ingest.plain import read_plain
from services.retrieval.ingest.split import TextPiece, split

LONGEST_TITLE = 300


@dataclass(frozen=True, slots=True)
class Digest:
    """A document read: its title ("" for none), its text, its passages."""

    title: str
    text: str
    pieces: list[TextPiece]


def digest(media_type: str, data: bytes, max_chars: int) -> Digest:
    """Raises DocumentUnreadable, or DocumentEmpty where there is no text."""
    extract = _reader(media_type)(data)
    text, pieces = split(extract.blocks, max_chars)
    if not pieces:
        raise DocumentEmpty
    return Digest(extract.title[:LONGEST_TITLE], text, pieces)


def _reader(media_type: str) -> Callable[[bytes], Extract]:
    """The reader of a media type; those with heavy libraries are loaded when they are needed."""
    if media_type == media.HTML:
        from services.retrieval.ingest.html import read_html

        return read_html
    if media_type == media.PDF:
        from services.retrieval.ingest.pdf import read_pdf

        return read_pdf
    return read_markdown if media_type == media.MARKDOWN else read_plain
