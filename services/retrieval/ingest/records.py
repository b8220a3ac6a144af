"""Rows of values without marks, as sheets and CSV have them: where tables begin, and what names their columns."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

from services.retrieval.ingest.merges import Merges
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

MOST_HEADERS = 4
"""Rows of headers above one another."""

Record = list[str]


class _Line(NamedTuple):
    """A row: its values where they stand; in a sheet that has merged cells, its cells."""

    values: Record
    cells: list[Cell]


class Records:
    """Takes the rows of a document up to its limits, and writes the tables that they make."""

    def __init__(self, outline: Outline) -> None:
        self._outline = outline
        self._rows = self._cells = 0
        self._left = self._narrowed = self._cut = 0
        self._heads: list[list[Cell]] = []
        self._width = 0

    def write(self, rows: Iterable[Sequence[str]], merges: Merges | None = None) -> None:
        """One sheet's rows."""
        self._heads = []
        region: list[_Line] = []
        for number, row in enumerate(rows):
            record = self._taken(row) if row else []
            if any(record):
                if self._counts(record):
                    region.append(_Line(record, merges.cells(number, record) if merges else []))
            elif region and not (merges and merges.reach(number)):
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

    def _write(self, region: list[_Line]) -> None:
        """Rows with no empty one between: lines of a single value are text, the others a table."""
        first = min(at for line in region for at, value in enumerate(line.values) if value)
        table: list[_Line] = []
        for line in region:
            values = line.values[first:]
            if sum(map(bool, values)) == 1 and values[0] and not table:
                self._outline.write(values[0])
            else:
                table.append(_Line(values, _behind(line.cells, first)))
        if table:
            self._table(table)

    def _table(self, table: list[_Line]) -> None:
        width = len(table[0].values)
        count = _header_rows(table)
        rows = [_cells(line, header=at < count) for at, line in enumerate(table)]
        if count:
            self._heads, self._width = rows[:count], width
        elif self._width == width:
            rows = [*self._heads, *rows]
        self._outline.rows(read_rows(rows))


def _cells(line: _Line, header: bool) -> list[Cell]:
    if line.cells:
        return [Cell(cell.text, cell.columns, header=header) for cell in line.cells]
    return [Cell(value, header=header) for value in line.values]


def _behind(cells: Sequence[Cell], first: int) -> list[Cell]:
    """A row's cells from a column on."""
    at = 0
    kept: list[Cell] = []
    for cell in cells:
        if at >= first:
            kept.append(cell)
        at += cell.columns
        if at > first and not kept:
            kept = [replace(cell, columns=at - first)]
    return kept


def _header_rows(table: Sequence[_Line]) -> int:
    """How many rows of a table name its columns: more than one where cells of the first are merged."""
    first, *below = table
    covered = sum(cell.columns - 1 for cell in first.cells)
    count = int(names_columns(first.values, [line.values for line in below], covered))
    reaching = max((cell.rows for cell in first.cells), default=1)
    spanning = any(cell.columns > 1 and cell.text for cell in first.cells)
    more = min(reaching if reaching > 1 else 2, MOST_HEADERS) if spanning or (count and reaching > 1) else 1
    named = all(_is_name(value, "") for line in table[1:more] for value in line.values if value)
    return more if 1 < more < len(table) and named else count


def names_columns(row: Record, below: Sequence[Record], covered: int = 0) -> bool:
    """Whether the first row of a table names its columns: by short texts, all different, none of them a value. Of its
    empty places so many are covered by merged cells."""
    names = [name for name in row if name]
    if len(names) < 2 or all(map(_YEAR.fullmatch, names)):
        return False
    width = max((at + 1 for other in below[:50] for at, value in enumerate(other) if value), default=0)
    missing = sum(not name for name in [*row, *[""] * width][:width]) - covered
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
