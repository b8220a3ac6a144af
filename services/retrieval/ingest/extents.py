"""How far apart a sheet's cells lie: the library holds all that is between them, and ends the process where that is too
much."""

import re
from collections.abc import Iterator

from services.retrieval.errors import ContentTooLarge
from services.retrieval.ingest.merges import COUNTS, TABLES
from services.retrieval.ingest.package import Package

MOST_AREA = 5_000_000
"""Cells between a sheet's first and its last, the empty ones among them."""
SHEETS, CONTENT = "xl/worksheets/", "content.xml"
# A cell with a value, and where it is.
_CELL = re.compile(rb"""<(?:\w{1,20}:)?c\s[^<>]{0,200}?\br\s*=\s*["']([A-Z]{1,9})(\d{1,12})["'][^<>]{0,200}(?<!/)>""")
_VALUE = b":value-type"


def check_extents(package: Package) -> None:
    """Raises ContentTooLarge for a workbook with a sheet that spans too many cells."""
    areas = [_area(package.read(name)) for name in package.names() if name.startswith(SHEETS)]
    if CONTENT in package:
        areas += _areas(package.read(CONTENT))
    if any(area > MOST_AREA for area in areas):
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


def _areas(content: bytes) -> Iterator[int]:
    """Of each sheet of ODS, whose cells and rows may say that they are repeated."""
    rows = columns = row = column = repeated = 0
    for tag in TABLES.finditer(content):
        if tag[1]:
            continue
        counts = {each[1] + each[2]: int(each[3]) for each in COUNTS.finditer(tag[3])}
        match tag[2]:
            case b"table":
                yield rows * columns
                rows = columns = row = repeated = 0
            case b"table-row":
                row, column, repeated = row + repeated, 0, counts.get(b"rowsrepeated", 1)
            case _:
                column += counts.get(b"columnsrepeated", 1)
                if _VALUE in tag[3]:
                    rows, columns = row + repeated, max(columns, column)
    yield rows * columns
