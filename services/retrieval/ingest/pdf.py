"""Reads PDF. Runs in a process that may be killed: a broken file can loop, and a small one can unpack to gigabytes."""

import io
import logging
import re

from pypdf import PdfReader
from pypdf.errors import PyPdfError

from services.retrieval.errors import DocumentUnreadable
from services.retrieval.ingest.text import Extract

MAX_TEXT = 64 << 20
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def read_pdf(data: bytes) -> Extract:
    """The text of all pages, a blank line between them. Raises DocumentUnreadable where one page cannot be read."""
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    if b"%PDF-" not in data[:1024]:
        raise DocumentUnreadable("it does not begin as a PDF does")
    try:
        return _read(PdfReader(io.BytesIO(data)))
    except DocumentUnreadable:
        raise
    except (MemoryError, RecursionError) as error:
        raise DocumentUnreadable("the PDF unpacks to more than the reader may hold") from error
    except PyPdfError as error:
        raise DocumentUnreadable(f"the PDF is broken: {str(error)[:200]}") from error
    except Exception as error:
        raise DocumentUnreadable(f"the PDF is broken ({type(error).__name__})") from error


def _read(reader: PdfReader) -> Extract:
    if reader.is_encrypted and not reader.decrypt(""):
        raise DocumentUnreadable("the PDF needs a password")
    title = str((reader.metadata and reader.metadata.title) or "")
    return Extract(_clean(title).strip(), _pages(reader), [])


def _pages(reader: PdfReader) -> str:
    pages: list[str] = []
    length = 0
    for page in reader.pages:
        text = _clean(page.extract_text())
        length += len(text)
        if length > MAX_TEXT:
            raise DocumentUnreadable(f"the PDF holds more than {MAX_TEXT} characters")
        pages.append(text)
    return "\n\n".join(pages)


def _clean(text: str) -> str:
    """Without control characters and halves of surrogate pairs, which no protobuf string can hold."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    whole = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return _CONTROL.sub("", whole)
