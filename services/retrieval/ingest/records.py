"""Rows of values without marks, as sheets and CSV have them: where tables begin, and what names their columns."""

import re
from collections.abc import Iterable, Iterator, Sequence

from services.retrieval.ingest.omissions import omissions
from services.retrieval.ingest.outline import Outline
from services.retrieval.ingest.tables import MOST_COLUMNS, Cell, read_rows

MOST_ROWS = 100_000
"""Of one document."""
MOST_CELLS = 2_000_000
LONGEST_VALUE = 20_000
LONGEST_NAME = 100
# A value, and no name of a column: a number, an amount, a date.
_VALUE = re.compile(r"[-+(]?\s*(?:[A-Z]{3}\s)?[$€£¥]?\s*[.,]?\d[\d.,:/\s'’TZ-]*[)%$€£¥]?\s*[^\W\d_]{0,3}\.?")
_YEAR = re.compile(r"(?:19|20)\d\d")

Record = list[str]


class Records:
    """Takes the rows of a document up to its limits, and writes the tables that they make."""

    def __init__(self, outline: Outline) -> None:
        self._outline = outline
        self._rows = self._cells = 0
        self._left = self._narrowed = self._cut = 0
        self._columns: Record = []

    def write(self, rows: Iterable[Sequence[str]]) -> None:
        """One sheet's rows."""
        self._columns = []
        region: list[Record] = []
        for row in rows:
            record = self._taken(row)
            if any(record):
                if self._counts(record):
                    region.append(record)
            elif region:
                self._write(region)
                region = []
        if region:
            self._write(region)

    def warnings(self) -> list[str]:
        """What was left out."""
        return omissions(
            (self._left, f"not read: {{}} row(s) behind the first {self._rows:,}"),
            (self._narrowed, f"read to column {MOST_COLUMNS} only: {{}} row(s)"),
            (self._cut, f"cut to {LONGEST_VALUE:,} characters: {{}} value(s)"),
        )

    def _taken(self, row: Sequence[str]) -> Record:
        record = [" ".join(value[: LONGEST_VALUE + 1].split()) for value in row[:MOST_COLUMNS]]
        self._narrowed += any(value.strip() for value in row[MOST_COLUMNS:])
        self._cut += sum(len(value) > LONGEST_VALUE for value in row[:MOST_COLUMNS])
        return [value[:LONGEST_VALUE] for value in record]

    def _counts(self, record: Record) -> bool:
        """Count a row in; whether it is within the limits."""
        if self._left or self._rows >= MOST_ROWS or self._cells >= MOST_CELLS:
            self._left += 1
            return False
        self._rows += 1
        self._cells += len(record)
        return True

    def _write(self, region: list[Record]) -> None:
        """Rows with no empty one between: lines of a single value are text, the others a table."""
        first = min(at for row in region for at, value in enumerate(row) if value)
        region = [row[first:] for row in region]
        table: list[Record] = []
        for row in region:
            lone = sum(map(bool, row)) == 1 and bool(row[0])
            if lone and not table:
                self._outline.write(row[0])
            else:
                table.append(row)
        if table:
            self._table(table)

    def _table(self, table: list[Record]) -> None:
        names = table[0]
        if names_columns(names, table[1:]):
            self._columns = names
            marked = [[Cell(name, header=True) for name in names]]
            body = table[1:]
        else:
            known = len(self._columns) == len(names)
            marked = [[Cell(name, header=True) for name in self._columns]] if known else []
            body = table
        self._outline.rows(read_rows([*marked, *_cells(body)]))


def names_columns(row: Record, below: Sequence[Record]) -> bool:
    """Whether the first row of a table names its columns: by short texts, all different, none of them a value."""
    names = [name for name in row if name]
    if len(names) < 2 or all(map(_YEAR.fullmatch, names)):
        return False
    width = max((at + 1 for other in below[:50] for at, value in enumerate(other) if value), default=0)
    missing = sum(not name for name in [*row, *[""] * width][:width])
    following = below[0] if below else []
    return (
        missing <= width // 4
        and len(set(names)) == len(names)
        and all(_is_name(name, following[at] if at < len(following) else "") for at, name in enumerate(row) if name)
    )


def _is_name(text: str, below: str) -> bool:
    """Whether a text can name a column. A year can, unless the column is one of years."""
    if _YEAR.fullmatch(text):
        return not _YEAR.fullmatch(below)
    return len(text) <= LONGEST_NAME and not _VALUE.fullmatch(text)


def _cells(rows: Iterable[Record]) -> Iterator[list[Cell]]:
    return ([Cell(value) for value in row] for row in rows)
