"""How far apart a sheet's cells lie: the library holds all that is between them, and ends the process where that is too
much."""

import re
from collections.abc import Iterable

from services.retrieval.errors import ContentTooLarge
from services.retrieval.ingest.merges import SheetShape
from services.retrieval.ingest.package import Package

MOST_AREA = 5_000_000
"""Cells between a sheet's first and its last, the empty ones among them."""
_SHEETS = "xl/worksheets/"
# A cell with a value, and where it is.
_CELL = re.compile(rb"""<(?:\w{1,20}:)?c\s[^<>]{0,200}?\br\s*=\s*["']([A-Z]{1,9})(\d{1,12})["'][^<>]{0,200}(?<!/)>""")


def check_extents(package: Package, shapes: Iterable[SheetShape]) -> None:
    """`shapes`: those of the sheets of ODS. Raises ContentTooLarge for a workbook with a sheet that spans too many
    cells."""
    areas = [_area(package.read(name)) for name in package.names() if name.startswith(_SHEETS)]
    if any(area > MOST_AREA for area in (*areas, *(shape.area for shape in shapes))):
        raise ContentTooLarge(f"a sheet of it spans more than {MOST_AREA:,} cells")


def _area(sheet: bytes) -> int:
    """Of a sheet of XLSX."""
    rows = columns = 1
    for cell in _CELL.finditer(sheet):
        rows = max(rows, int(cell[2]))
        columns = max(columns, _number(cell[1]))
    return rows * columns


def _number(column: bytes) -> int:
    """The number of a column, from 1 for A."""
    number = 0
    for letter in column:
        number = number * 26 + letter - 64
    return number
