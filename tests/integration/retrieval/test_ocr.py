"""OCR of pages without text, by the programs themselves."""

import io
import shutil
import subprocess
import time
import zlib
from pathlib import Path

import pytest
from pypdf import PdfReader, PdfWriter
from pypdf.generic import DecodedStreamObject, DictionaryObject, EncodedStreamObject, NameObject, NumberObject

from services.retrieval.errors import DocumentEmpty, DocumentUnreadable
from services.retrieval.ingest import ocr
from services.retrieval.ingest.ocr import Ocr
from services.retrieval.ingest.pdf import read_pdf
from services.retrieval.ingest.readers import Readers
from services.runtime import media_types
from tests.unit.retrieval.test_pdf_tables import drawn, text

ENGLISH = Ocr("eng", 120)
SCANNED = text("The Danube flows through ten countries.", 50, 700) + text("It ends in the Black Sea.", 50, 600)

pytestmark = pytest.mark.skipif(
    not (shutil.which("tesseract") and shutil.which("pdftoppm")),
    reason="needs tesseract and pdftoppm: apt-get install tesseract-ocr poppler-utils",
)


def scan(tmp_path: Path, *pages: str | None, turn: int = 0) -> bytes:
    """Pages as pictures of what they show; one of None is empty."""
    file = tmp_path / "page.pdf"
    writer = PdfWriter()
    for content in pages:
        page = writer.add_blank_page(600, 800)
        if content is None:
            continue
        file.write_bytes(drawn(content, rotate=turn))
        made = subprocess.run(["pdftoppm", "-gray", "-r", "200", str(file)], capture_output=True, check=True).stdout
        _, size, _, pixels = made.split(b"\n", 3)
        width, height = map(int, size.split())
        picture = EncodedStreamObject()
        picture._data = zlib.compress(pixels)
        values = {"/Type": "/XObject", "/Subtype": "/Image", "/ColorSpace": "/DeviceGray", "/Filter": "/FlateDecode"}
        picture.update({NameObject(key): NameObject(value) for key, value in values.items()})
        numbers = {"/Width": width, "/Height": height, "/BitsPerComponent": 8}
        picture.update({NameObject(key): NumberObject(value) for key, value in numbers.items()})
        shown = DecodedStreamObject()
        shown.set_data(b"q 600 0 0 800 0 0 cm /I Do Q")
        pictures = DictionaryObject({NameObject("/I"): writer._add_object(picture)})
        page[NameObject("/Resources")] = DictionaryObject({NameObject("/XObject"): pictures})
        page[NameObject("/Contents")] = writer._add_object(shown)
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def mixed(tmp_path: Path) -> bytes:
    """A page of text, one that is a picture, and an empty one."""
    writer = PdfWriter()
    for part in (drawn(text("The Rhine is shorter.", 50, 700)), scan(tmp_path, SCANNED, None)):
        writer.append(PdfReader(io.BytesIO(part)))
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def test_pages_without_text_are_read(tmp_path: Path) -> None:
    data = mixed(tmp_path)
    extract = read_pdf(data, ENGLISH)
    read = {(block.page, " ".join(block.text.split())) for block in extract.blocks}
    assert (1, "The Rhine is shorter.") in read
    assert (2, "The Danube flows through ten countries.") in read
    assert list(extract.warnings) == ["read by OCR: 1 of 3 pages", "without text: 1 of 3 pages"]
    off = read_pdf(data)
    assert {block.page for block in off.blocks} == {1}
    assert list(off.warnings) == ["without text: 2 of 3 pages; OCR would read them: HEADWORKS_RETRIEVAL_OCR"]


def test_what_does_not_come_in_time_is_left_out(tmp_path: Path) -> None:
    data = mixed(tmp_path)
    started = time.monotonic()
    extract = read_pdf(data, Ocr("eng", 0.01))
    assert time.monotonic() - started < 20
    assert [block.page for block in extract.blocks] == [1]
    assert list(extract.warnings) == ["without text: 2 of 3 pages"]
    with pytest.raises(DocumentEmpty, match="none of its 1 pages has text: and OCR read none"):
        read_pdf(scan(tmp_path, SCANNED), Ocr("eng", 0.01))


def test_a_page_of_enormous_size_is_rendered_small(tmp_path: Path) -> None:
    reader = PdfReader(io.BytesIO(scan(tmp_path, SCANNED)))
    writer = PdfWriter()
    page = writer.add_page(reader.pages[0])
    page.scale_by(200)
    out = io.BytesIO()
    writer.write(out)
    assert "Danube" in read_pdf(out.getvalue(), ENGLISH).blocks[0].text


def test_what_is_missing_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert ocr.missing("eng") == ""
    assert (ocr.installed("eng", 9), ocr.installed("", 9)) == (Ocr("eng", 9), None)
    assert caplog.messages == []
    assert ocr.installed("eng+xyz", 9) is None
    assert "tesseract-ocr-xyz; pages without text are not read" in caplog.text
    assert ocr.missing("eng+xyz") == "tesseract cannot read xyz: apt-get install tesseract-ocr-xyz"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert ocr.missing("eng") == "the program pdftoppm is missing: apt-get install poppler-utils"


async def test_the_process_that_reads_documents_does_it(tmp_path: Path) -> None:
    data = scan(tmp_path, SCANNED)
    readers = Readers(1, 60, 2 << 30, ocr=ENGLISH)
    try:
        found = await readers.read(media_types.PDF, data, 1200)
        assert "Danube" in found.text
        assert list(found.warnings) == ["read by OCR: 1 of 1 pages"]
        assert "countries" in (await readers.read(media_types.HTML, b"<p>Ten countries.</p>", 1200)).text
    finally:
        await readers.aclose()


async def test_without_memory_for_it_the_document_fails_alone(tmp_path: Path) -> None:
    data = mixed(tmp_path)
    readers = Readers(1, 60, 400 << 20, ocr=ENGLISH)
    try:
        found = await readers.read(media_types.PDF, data, 1200)
        assert "Rhine" in found.text
    except DocumentUnreadable:
        pytest.fail("a page that OCR has no memory for takes the document with it")
    finally:
        await readers.aclose()
