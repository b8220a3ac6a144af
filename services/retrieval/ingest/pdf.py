"""Reads PDF. Runs in a process that may be killed: a broken file can loop, and a small one can unpack to gigabytes."""

import io
import logging
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any

from pypdf import PdfReader
from pypdf.errors import PyPdfError

from services.retrieval.errors import DocumentEmpty, DocumentUnreadable
from services.retrieval.ingest.blocks import Extract, lowered
from services.retrieval.ingest.faults import reading
from services.retrieval.ingest.ocr import Ocr, read_scans
from services.retrieval.ingest.omissions import omissions
from services.retrieval.ingest.outline import Outline
from services.retrieval.ingest.pdf_pages import Page, clean, put_together, read_pages
from services.retrieval.ingest.pdf_tables import Table
from services.retrieval.ingest.plain import write_plain
from services.retrieval.ingest.tables import read_rows

MOST_BOOKMARKS = 20_000
_SCANNED = (
    "Run OCR on it first, for instance by `ocrmypdf SCAN.pdf READABLE.pdf`, and ingest what that makes; or set "
    "HEADWORKS_RETRIEVAL_OCR"
)
_OFF = "; OCR would read them: HEADWORKS_RETRIEVAL_OCR"
_Heading = tuple[int, str]


def read_pdf(data: bytes, ocr: Ocr | None = None) -> Extract:
    """The text of all pages, each block with its page; with `ocr` that of pages without text, too. Raises
    DocumentUnreadable where one page cannot be read, DocumentEmpty where none has text."""
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    if b"%PDF-" not in data[:1024]:
        raise DocumentUnreadable("it does not begin as a PDF does")
    with reading("the PDF", PyPdfError):
        return _read(PdfReader(io.BytesIO(data)), data, ocr)


def _read(reader: PdfReader, data: bytes, ocr: Ocr | None) -> Extract:
    if reader.is_encrypted and not reader.decrypt(""):
        raise DocumentUnreadable("the PDF needs a password")
    title = str((reader.metadata and reader.metadata.title) or "")
    outline = Outline()
    pages = read_pages(reader)
    scans = _read_by_ocr(reader, pages, data, ocr) if ocr else 0
    pages = put_together(pages)
    silent = sum(not page.text.strip() for page in pages)
    if silent == len(pages) > 0:
        why = "and OCR read none" if ocr else f"pictures of pages are not read. {_SCANNED}"
        raise DocumentEmpty(f"none of its {len(pages):,} pages has text: {why}")
    headings = _bookmarks(reader)
    depth = 0
    for number, page in enumerate(pages, 1):
        outline.page = number
        depth = _write(page, headings.get(number, ()), depth, outline)
    warnings = omissions(
        (scans, f"read by OCR: {{}} of {len(pages):,} pages"),
        (silent, f"without text: {{}} of {len(pages):,} pages{'' if ocr else _OFF}"),
    )
    return Extract(clean(title).strip(), outline.blocks, warnings=warnings)


def _read_by_ocr(reader: PdfReader, pages: Sequence[Page], data: bytes, ocr: Ocr) -> int:
    """Fill the pages without text by OCR. Returns how many it had text for."""
    sides: dict[int, float] = {}
    for number, (page, read) in enumerate(zip(reader.pages, pages, strict=True), 1):
        with suppress(Exception):  # without a size that is one, it stays without text
            if not read.text.strip() and page.get_contents() is not None:
                sides[number] = float(max(page.cropbox.width, page.cropbox.height))
    texts = read_scans(data, sides, ocr) if sides else {}
    for number, text in texts.items():
        pages[number - 1].text = clean(text)
    return len(texts)


def _bookmarks(reader: PdfReader) -> Mapping[int, Sequence[_Heading]]:
    """The document's outline: level and title of the headings by the number of their page. What is wrong with it is not
    wrong with the text."""
    headings = defaultdict[int, list[_Heading]](list)
    with suppress(Exception):
        for level, entry in islice(_entries(reader.outline), MOST_BOOKMARKS):
            number = reader.get_destination_page_number(entry)
            title = " ".join(clean(str(entry.title or "")).split())
            if title and number is not None and number >= 0:
                headings[number + 1].append((level, title))
    return headings


def _entries(entries: Sequence[Any]) -> Iterator[tuple[int, Any]]:
    """The entries of an outline with their levels; those of a deeper level are lists behind what they belong to."""
    waiting: list[tuple[int, Any]] = [(1, each) for each in reversed(entries)]
    while waiting:
        level, entry = waiting.pop()
        if isinstance(entry, list):
            waiting += [(level + 1, each) for each in reversed(entry)]
        else:
            yield level, entry


def _write(page: Page, headings: Sequence[_Heading], depth: int, outline: Outline) -> int:
    """Write a page with its headings where their lines are, those that have none at its start; what looks like a
    heading besides stands below them. Returns the level of the last."""
    places = sorted(
        ((_place(page.text, title), level, title) for level, title in headings), key=lambda each: each[0][0]
    )  # fmt: skip
    at = 0
    for (start, end), level, title in places:
        if start > at:
            _write_parts(page.parts(at, start), depth, outline)
        outline.heading(level, title)
        at, depth = max(at, end), level
    _write_parts(page.parts(at, len(page.text)), depth, outline)
    return depth


def _write_parts(parts: Iterable[str | Table], depth: int, outline: Outline) -> None:
    for part in parts:
        if isinstance(part, Table):
            outline.rows(read_rows(part.rows))
            continue
        first = len(outline.blocks)
        write_plain(part, outline)
        outline.blocks[first:] = lowered(outline.blocks[first:], depth)


def _place(page: str, title: str) -> tuple[int, int]:
    """Where a title is whole lines of a page, whatever numbers it; its start twice where it is not."""
    words = r"\s+".join(re.escape(word) for word in title.split())
    found = re.search(rf"^[ \t]*(?:[\dA-Z]{{1,3}}(?:\.\d{{1,3}}){{0,5}}\.?[ \t]+)?{words}[ \t]*$", page, re.MULTILINE)
    return found.span() if found else (0, 0)
