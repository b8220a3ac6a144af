"""The pages of a PDF as text, with a mark where each table is, and without the heads and feet that run through all."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import pairwise

from pypdf import PageObject, PdfReader

from services.retrieval.errors import DocumentUnreadable
from services.retrieval.ingest.pdf_content import has_rules, read_content
from services.retrieval.ingest.pdf_tables import Table, going_on, parts

MAX_TEXT = 64 << 20
# Before the number of a table, in a line of its own: no text has it.
_MARK = "\x00"
_MARKED = re.compile(rf"{_MARK}(\d+)")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_DIGITS = re.compile(r"\d+")
# A line that is the first or the last of so many pages, but for its numbers, is the pages' head or foot.
_RUNNING_PAGES, _RUNNING_SHARE = 4, 0.4
_LONGEST_RUNNING = 120


@dataclass(slots=True)
class Page:
    """A page's text, and the tables that its marks stand for."""

    text: str
    tables: list[Table] = field(default_factory=list)

    def parts(self, start: int, end: int) -> Iterator[str | Table]:
        """The texts and the tables of a part of its text, in order."""
        for at, part in enumerate(_MARKED.split(self.text[start:end])):
            yield self.tables[int(part)] if at % 2 else part


def read_pages(reader: PdfReader) -> list[Page]:
    """All of them. Raises DocumentUnreadable where they hold too much."""
    pages: list[Page] = []
    length = 0
    for each in reader.pages:
        page = _read(each)
        length += len(page.text) + sum(len(cell.text) for table in page.tables for row in table.rows for cell in row)
        if length > MAX_TEXT:
            raise DocumentUnreadable(f"the PDF holds more than {MAX_TEXT} characters")
        pages.append(page)
    return pages


def put_together(pages: Sequence[Page]) -> list[Page]:
    """The pages without heads and feet; a table that goes on from the page before has its header again."""
    pages = _without_running(pages)
    for above, page in pairwise(pages):
        _go_on(above, page)
    return pages


def clean(text: str) -> str:
    """Without control characters and halves of surrogate pairs, which no protobuf string can hold."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    whole = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return _CONTROL.sub("", whole)


def _read(page: PageObject) -> Page:
    with suppress(Exception):  # whatever is wrong with its lines is not wrong with its text
        if has_rules(page):
            return _marked(parts(read_content(page)))
    return Page(clean(page.extract_text()))


def _marked(found: Iterable[str | Table]) -> Page:
    text: list[str] = []
    tables: list[Table] = []
    for part in found:
        if isinstance(part, str):
            text.append(clean(part))
            continue
        text.append(f"\n{_MARK}{len(tables)}\n")
        tables.append(replace(part, rows=[[replace(cell, text=clean(cell.text)) for cell in row] for row in part.rows]))
    return Page("".join(text), tables)


def _without_running(pages: Sequence[Page]) -> list[Page]:
    lines = [page.text.strip().split("\n") for page in pages]
    ends = Counter(
        end for page, each in zip(pages, lines, strict=True) for end in {_end(page, each[0]), _end(page, each[-1])}
    )
    least = max(_RUNNING_PAGES, _RUNNING_SHARE * len(pages))
    running = {end for end, count in ends.items() if count >= least and len(end) <= _LONGEST_RUNNING}
    for page, each in zip(pages, lines, strict=True):
        for at in (0, -1):
            if each and _end(page, each[at]) in running:
                each.pop(at)
    return [replace(page, text="\n".join(each)) for page, each in zip(pages, lines, strict=True)]


def _end(page: Page, line: str) -> str:
    """A line, or all that is in the table that it stands for, but for its numbers."""
    marked = _MARKED.fullmatch(line)
    if marked:
        line = " ".join(cell.text for row in page.tables[int(marked[1])].rows for cell in row)
    return _DIGITS.sub("#", " ".join(line.split()))


def _go_on(above: Page, page: Page) -> None:
    """Give the first table of a page the header of the last one above, if but heads and feet are between them."""
    behind, before = list(_MARKED.finditer(above.text)), _MARKED.search(page.text)
    if not behind or before is None:
        return
    last, first = int(behind[-1][1]), int(before[1])
    if _are_lines_of(page, above.text[behind[-1].end() :]) and _are_lines_of(above, page.text[: before.start()]):
        page.tables[first] = going_on(above.tables[last], page.tables[first])


def _are_lines_of(page: Page, text: str) -> bool:
    """Whether another page has the same lines, but for their numbers."""
    lines = {_end(page, line) for line in page.text.split("\n")}
    return all(not line.strip() or _end(page, line) in lines for line in text.split("\n"))
