"""Reads CSV and TSV: what separates the values is told by the first lines, and their names by the first row."""

import csv
import io
from collections import Counter
from collections.abc import Iterator

from services.retrieval.ingest.blocks import Extract
from services.retrieval.ingest.faults import reading
from services.retrieval.ingest.outline import Outline
from services.retrieval.ingest.records import Records
from services.retrieval.ingest.text import decode

LOOK = 50
"""Rows by which it is judged what separates values."""
LONGEST_FIELD = 1 << 24
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
    with reading("the table", csv.Error):
        csv.field_size_limit(LONGEST_FIELD)
        records.write(_rows(body, separator or separator_of(body)))
    return Extract("", outline.blocks, encoding=text.encoding, warnings=records.warnings())


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
