"""Reads PDF. Runs in a process that may be killed: a broken file can loop, and a small one can unpack to gigabytes."""

import io
import logging
import re
from collections import Counter
from collections.abc import Sequence

from pypdf import PdfReader
from pypdf.errors import PyPdfError

from services.retrieval.errors import DocumentUnreadable
from services.retrieval.ingest.blocks import Extract
from services.retrieval.ingest.outline import Outline
from services.retrieval.ingest.plain import write_plain

MAX_TEXT = 64 << 20
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_DIGITS = re.compile(r"\d+")
# A line that is the first or the last of so many pages, but for its numbers, is the pages' head or foot.
_RUNNING_PAGES, _RUNNING_SHARE = 4, 0.4
_LONGEST_RUNNING = 120


def read_pdf(data: bytes) -> Extract:
    """The text of all pages, each block with its page. Raises DocumentUnreadable where one page cannot be read."""
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
    outline = Outline()
    for number, page in enumerate(_without_running(_pages(reader)), 1):
        outline.page = number
        write_plain(page, outline)
    return Extract(_clean(title).strip(), outline.blocks)


def _pages(reader: PdfReader) -> list[str]:
    pages: list[str] = []
    length = 0
    for page in reader.pages:
        text = _clean(page.extract_text())
        length += len(text)
        if length > MAX_TEXT:
            raise DocumentUnreadable(f"the PDF holds more than {MAX_TEXT} characters")
        pages.append(text)
    return pages


def _without_running(pages: Sequence[str]) -> list[str]:
    """The pages without the heads and feet that run through the document."""
    lines = [page.strip().split("\n") for page in pages]
    ends = Counter(end for page in lines for end in {_end(page[0]), _end(page[-1])})
    least = max(_RUNNING_PAGES, _RUNNING_SHARE * len(pages))
    running = {end for end, count in ends.items() if count >= least and len(end) <= _LONGEST_RUNNING}
    for page in lines:
        for at in (0, -1):
            if page and _end(page[at]) in running:
                page.pop(at)
    return ["\n".join(page) for page in lines]


def _end(line: str) -> str:
    return _DIGITS.sub("#", " ".join(line.split()))


def _clean(text: str) -> str:
    """Without control characters and halves of surrogate pairs, which no protobuf string can hold."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    whole = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return _CONTROL.sub("", whole)
