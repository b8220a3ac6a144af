"""PDF: pages, the outline as headings, pages without text."""

import io
from collections.abc import Sequence
from typing import Any

import pytest
from pypdf import PdfWriter
from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject

from services.retrieval.errors import DocumentEmpty
from services.retrieval.ingest.blocks import Kind
from services.retrieval.ingest.pdf import read_pdf


def pdf(pages: Sequence[Sequence[str]], outline: Sequence[tuple[str, int, int]] = ()) -> bytes:
    """Pages of lines; the outline's titles with their level from 1 and their page from 0."""
    writer = PdfWriter()
    names = {"/Type": "/Font", "/Subtype": "/Type1", "/BaseFont": "/Helvetica"}
    font = writer._add_object(DictionaryObject({NameObject(key): NameObject(value) for key, value in names.items()}))
    for lines in pages:
        page = writer.add_blank_page(600, 800)
        stream = DecodedStreamObject()
        shown = " ".join(f"({line}) Tj 0 -30 Td" for line in lines)
        stream.set_data(f"BT /F1 12 Tf 50 700 Td {shown} ET".encode())
        fonts = DictionaryObject({NameObject("/F1"): font})
        page[NameObject("/Resources")] = DictionaryObject({NameObject("/Font"): fonts})
        page[NameObject("/Contents")] = writer._add_object(stream)
    above: list[Any] = []
    for title, level, number in outline:
        del above[level - 1 :]
        above.append(writer.add_outline_item(title=title, page_number=number, parent=above[-1] if above else None))
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def test_the_outline_names_the_headings() -> None:
    data = pdf(
        [
            ["1 Warranty", "It is two years.", "1.1 Exclusions", "Wear is none of it."],
            ["CAUTION", "Hot."],
            ["The end."],
        ],
        [("Warranty", 1, 0), ("Exclusions", 2, 0), ("Closing words", 1, 2)],
    )
    extract = read_pdf(data)
    assert [(block.page, block.level, block.text) for block in extract.blocks if block.kind is Kind.HEADING][:2] == [
        (1, 1, "Warranty"), (1, 2, "Exclusions"),
    ]  # fmt: skip
    texts = [block.text for block in extract.blocks]
    assert texts[:4] == ["Warranty", "It is two years.", "Exclusions", "Wear is none of it."]
    assert texts[-2:] == ["Closing words", "The end."]
    assert all(block.level > 2 for block in extract.blocks if block.kind is Kind.HEADING and block.page == 2)


def test_pages_without_text_are_counted() -> None:
    assert list(read_pdf(pdf([["Text."], [], []])).warnings) == [
        "without text: 2 of 3 pages; OCR would read them: HEADWORKS_RETRIEVAL_OCR"
    ]
    assert list(read_pdf(pdf([["Text."]])).warnings) == []


def test_a_scan_is_told_what_to_do() -> None:
    with pytest.raises(DocumentEmpty, match=r"none of its 2 pages has text.*ocrmypdf.*HEADWORKS_RETRIEVAL_OCR"):
        read_pdf(pdf([[], []]))
