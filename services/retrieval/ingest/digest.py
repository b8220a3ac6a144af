"""Bytes in, passages out: reading and splitting together, which is all the work that needs no model."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module

from services.retrieval.errors import DocumentEmpty
from services.retrieval.ingest.blocks import SOFT_HYPHEN, Extract, without_soft_hyphens
from services.retrieval.ingest.ocr import Ocr
from services.retrieval.ingest.plain import read_plain
from services.retrieval.ingest.split import TextPiece, split
from services.runtime import media_types

LONGEST_TITLE = 300
MOST_WARNINGS = 20


@dataclass(frozen=True, slots=True)
class Digest:
    """A document read: its title ("" for none), its text, its passages; labels, encoding and warnings as in Extract."""

    title: str
    text: str
    pieces: list[TextPiece]
    labels: Mapping[str, str] = field(default_factory=dict)
    encoding: str = ""
    warnings: Sequence[str] = ()


def digest(media_type: str, data: bytes, max_chars: int, ocr: Ocr | None = None) -> Digest:
    """Raises DocumentUnreadable, or DocumentEmpty where there is no text."""
    extract = _reader(media_type)(data, ocr) if media_type == media_types.PDF else _reader(media_type)(data)
    text, pieces = split(without_soft_hyphens(extract.blocks), max_chars)
    if not pieces:
        raise DocumentEmpty
    title = extract.title.replace(SOFT_HYPHEN, "")[:LONGEST_TITLE]
    return Digest(title, text, pieces, extract.labels, extract.encoding, list(extract.warnings)[:MOST_WARNINGS])


# Module and function of each reader whose library is loaded when it is needed.
_READERS = {
    media_types.MARKDOWN: ("markdown", "read_markdown"),
    media_types.HTML: ("html", "read_html"),
    media_types.PDF: ("pdf", "read_pdf"),
    media_types.DOCX: ("word", "read_docx"),
    media_types.PPTX: ("slides", "read_pptx"),
    media_types.ODT: ("opendocument", "read_odt"),
    media_types.EPUB: ("books", "read_epub"),
    media_types.RST: ("rst", "read_rst"),
    media_types.NOTEBOOK: ("notebooks", "read_ipynb"),
    media_types.EML: ("mail", "read_eml"),
    media_types.MBOX: ("mail", "read_mbox"),
    media_types.JSON: ("json_data", "read_json"),
    media_types.JSON_LINES: ("json_data", "read_json_lines"),
    media_types.CSV: ("delimited", "read_csv"),
    media_types.TSV: ("delimited", "read_tsv"),
    media_types.XLSX: ("sheets", "read_sheets"),
    media_types.XLS: ("sheets", "read_sheets"),
    media_types.ODS: ("sheets", "read_sheets"),
}


def _reader(media_type: str) -> Callable[..., Extract]:
    if media_type in _READERS:
        module, function = _READERS[media_type]
        reader: Callable[..., Extract] = getattr(import_module(f"services.retrieval.ingest.{module}"), function)
        return reader
    return read_plain
