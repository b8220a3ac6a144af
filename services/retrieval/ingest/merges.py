"""Merged cells of sheets: their value is read in each of their rows, once, over the columns that they span."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from services.retrieval.ingest.tables import Cell

MOST_MERGED_ROWS = 1000
LONGEST_REPEATED = 300
"""A longer value is read in the first of its rows alone."""

Range = tuple[tuple[int, int], tuple[int, int]]
"""The row and the column of the first and of the last cell, from 0."""
_NONE = (-1, Cell(""))
# Tags of OpenDocument's tables; their attributes may have ">" in quotes.
_TABLES = re.compile(
    rb"""<(/?)table:(table|table-row|table-cell|covered-table-cell)(?=[\s/>])((?:[^<>"']|"[^"]*"|'[^']*')*)>"""
)
_COUNTS = re.compile(rb"""number-(rows|columns)-(repeated|spanned)\s*=\s*["'](\d{1,7})["']""")
_CHANGES = re.compile(rb"<table:tracked-changes.*?</table:tracked-changes>", re.DOTALL)
_VALUE = b":value-type"


class Merges:
    """The merged cells of one sheet. Its rows are asked for in their order; those that are empty need not be."""

    def __init__(self, ranges: Iterable[Range] = ()) -> None:
        self._ahead = sorted(ranges, reverse=True)
        self._open: dict[int, tuple[int, Cell]] = {}

    def cells(self, number: int, values: Sequence[str]) -> list[Cell]:
        """The cells of a row by its number from 0. `rows` of one that begins in it says how many it spans."""
        while self._ahead and self._ahead[-1][0][0] <= number:
            (first, left), (last, right) = self._ahead.pop()
            text = values[left] if first == number and left < len(values) else ""
            last = min(last, first + MOST_MERGED_ROWS - 1)
            self._open[left] = last, Cell(text, max(1, right - left + 1), last - number + 1)
        cells: list[Cell] = []
        at = 0
        while at < len(values):
            last, cell = self._open.get(at, _NONE)
            if last < number:
                cells.append(Cell(values[at]))
                at += 1
                continue
            cells.append(replace(cell, columns=min(cell.columns, len(values) - at)))
            again = cell.text if len(cell.text) <= LONGEST_REPEATED else ""
            self._open[at] = last, replace(cell, text=again, rows=1)
            at += cell.columns
        return cells

    def reach(self, number: int) -> bool:
        """Whether a merged cell that began in a row above goes on in this one."""
        return any(last >= number for last, _ in self._open.values())


class SheetShape(NamedTuple):
    """The merged cells of a sheet, and the cells from its first to its last with a value."""

    merged: list[Range]
    area: int


def opendocument_shapes(content: bytes) -> list[SheetShape]:
    """Those of the sheets of a workbook's content.xml, whose rows and cells may say that they are repeated."""
    return list(_sheets(_CHANGES.sub(b"", content)))


def _sheets(content: bytes) -> Iterator[SheetShape]:
    merged: list[Range] = []
    row = column = last_row = last_column = 0
    repeated = 1
    for tag in _TABLES.finditer(content):
        name = tag[2]
        if tag[1]:
            if name == b"table":
                yield SheetShape(merged, last_row * last_column)
            elif name == b"table-row":
                row += repeated
            continue
        counts = {each[1] + each[2]: int(each[3]) for each in _COUNTS.finditer(tag[3])}
        if name == b"table":
            merged, row, last_row, last_column = [], 0, 0, 0
        elif name == b"table-row":
            repeated, column = counts.get(b"rowsrepeated", 1), 0
            row += repeated if tag[3].endswith(b"/") else 0
        else:
            rows, columns = counts.get(b"rowsspanned", 1), counts.get(b"columnsspanned", 1)
            if rows * columns > 1:
                merged.append(((row, column), (row + rows - 1, column + columns - 1)))
            column += counts.get(b"columnsrepeated", 1)
            if _VALUE in tag[3]:
                last_row, last_column = row + repeated, max(last_column, column)
