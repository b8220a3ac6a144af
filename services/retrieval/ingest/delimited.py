"""Reads CSV and TSV: what separates the values is told by the first lines, and their names by the first row."""

import csv
import io
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice

from services.retrieval.ingest.blocks import Extract
from services.retrieval.ingest.faults import reading
from services.retrieval.ingest.omissions import omissions
from services.retrieval.ingest.outline import Outline
from services.retrieval.ingest.records import Records
from services.retrieval.ingest.text import decode

LOOK = 50
"""Rows by which it is judged what separates values."""
LONGEST_FIELD = 1 << 24
MOST_UNCLOSED = 20
_QUOTE = '"'
_SEPARATORS = (",", ";", "\t", "|")
# How Excel names the separator, in a first line.
_NAMED = "sep="


def read_csv(data: bytes) -> Extract:
    """Raises DocumentUnreadable, EncodingUnknown."""
    return _read(data, "")


def read_tsv(data: bytes) -> Extract:
    """Raises DocumentUnreadable, EncodingUnknown."""
    return _read(data, "\t")


def _read(data: bytes, separator: str) -> Extract:
    text = decode(data)
    outline = Outline()
    records = Records(outline)
    body = text.text
    first, _, rest = body.partition("\n")
    if first.lower().startswith(_NAMED) and len(first.strip()) == len(_NAMED) + 1:
        separator, body = first.strip()[-1], rest
    unclosed: list[int] = []
    with reading("the table", csv.Error), _long_fields():
        separator = separator or separator_of(body)
        odd = body.count(_QUOTE) % 2
        records.write(_mended_rows(body, separator, unclosed) if odd else _rows(body, separator))
    warnings = omissions((len(unclosed), "read as written, with a quote that nothing closes: {} row(s)"))
    return Extract("", outline.blocks, encoding=text.encoding, warnings=[*warnings, *records.warnings()])


@contextmanager
def _long_fields() -> Iterator[None]:
    """The library's limit is the whole process's: others find it as it was."""
    before = csv.field_size_limit(LONGEST_FIELD)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def separator_of(text: str) -> str:
    """What separates the values: by it most of the first rows have as many, and the most of them."""
    head = text[: 1 << 16]

    def evenness(separator: str) -> tuple[float, int]:
        widths = Counter(len(row) for row, _ in zip(_rows(head, separator), range(LOOK), strict=False) if row)
        width, count = widths.most_common(1)[0] if widths else (1, 0)
        return (count / widths.total() if width > 1 else 0.0), width

    return max(_SEPARATORS, key=evenness)


def _rows(text: str, separator: str) -> Iterator[list[str]]:
    return csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True)


def _mended_rows(text: str, separator: str, unclosed: list[int]) -> Iterator[list[str]]:
    """The rows of a text where a quote is one too many. What it begins would end far below, or never: its line is a row
    without quotes, and `unclosed` has its number."""
    lines = list(io.StringIO(text, newline=""))
    at = 0
    while at < len(lines):
        strict = len(unclosed) < MOST_UNCLOSED
        rows = csv.reader(islice(lines, at, None), delimiter=separator, skipinitialspace=True, strict=strict)
        read = 0
        try:
            for row in rows:
                yield row
                read = rows.line_num
            return
        except csv.Error:
            if not strict:
                raise
            at += read
            if rows.line_num - read > 1 or lines[at].count(_QUOTE) % 2:
                unclosed.append(at)
                yield next(csv.reader(lines[at : at + 1], delimiter=separator, quoting=csv.QUOTE_NONE), [])
            else:
                yield next(_rows(lines[at], separator), [])
            at += 1
