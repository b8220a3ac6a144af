"""Reads spreadsheets: XLSX, XLS and ODS. A sheet is a heading with its tables; formulas are read as their values."""

import io
import re
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta

from python_calamine import (
    CalamineError,
    CalamineSheet,
    CalamineWorkbook,
    PasswordError,
    SheetTypeEnum,
    SheetVisibleEnum,
)

from services.retrieval.errors import ContentTooLarge, DocumentUnreadable
from services.retrieval.ingest.blocks import Extract
from services.retrieval.ingest.faults import reading
from services.retrieval.ingest.omissions import omissions
from services.retrieval.ingest.outline import Outline
from services.retrieval.ingest.package import Package
from services.retrieval.ingest.records import Records

MOST_SHEETS = 500
MOST_AREA = 20_000_000
"""Cells between a sheet's first and its last, the empty ones among them: the library holds all of them."""
_ZIP = b"PK\x03\x04"
_SHEETS = "xl/worksheets/"
# A cell with a value, and where it is.
_CELL = re.compile(rb"""<(?:\w{1,20}:)?c\s[^<>]{0,200}?\br\s*=\s*["']([A-Z]{1,9})(\d{1,12})["'][^<>]{0,200}(?<!/)>""")

Value = int | float | str | bool | time | date | datetime | timedelta


def read_sheets(data: bytes) -> Extract:
    """Raises DocumentUnreadable, ContentTooLarge."""
    if data.startswith(_ZIP):
        _check_extent(Package(data))
    outline = Outline()
    records = Records(outline)
    hidden = 0
    with reading("the workbook", CalamineError):
        try:
            workbook = CalamineWorkbook.from_filelike(io.BytesIO(data))
        except PasswordError as error:
            raise DocumentUnreadable("it needs a password") from error
        sheets = [sheet for sheet in workbook.sheets_metadata if sheet.typ is SheetTypeEnum.WorkSheet]
        if len(sheets) > MOST_SHEETS:
            raise ContentTooLarge(f"it has more than {MOST_SHEETS} sheets")
        for sheet in sheets:
            if sheet.visible is not SheetVisibleEnum.Visible:
                hidden += 1
                continue
            outline.heading(1, sheet.name)
            records.write(_rows(workbook.get_sheet_by_name(sheet.name)))
    warnings = omissions((hidden, "not read: {} hidden sheet(s)"))
    return Extract("", outline.blocks, warnings=[*warnings, *records.warnings()])


def _check_extent(package: Package) -> None:
    """Raises ContentTooLarge for a sheet whose cells lie too far apart: the library would end the process."""
    for name in package.names():
        if name.startswith(_SHEETS):
            rows = columns = 1
            for cell in _CELL.finditer(package.read(name)):
                rows = max(rows, int(cell[2]))
                columns = max(columns, _number(cell[1]))
            if rows * columns > MOST_AREA:
                raise ContentTooLarge(f"a sheet of it spans more than {MOST_AREA:,} cells")


def _number(column: bytes) -> int:
    """The number of a column, from 1 for A."""
    number = 0
    for letter in column:
        number = number * 26 + letter - 64
    return number


def _rows(sheet: CalamineSheet) -> Iterator[list[str]]:
    """The rows as texts. A value of merged cells stands in the first of them."""
    for row in sheet.iter_rows():
        yield [_text(value) for value in row]


def _text(value: Value) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.0f}" if value.is_integer() and abs(value) < 1e15 else f"{value:.12g}"
        case datetime():
            return value.isoformat(" ").removesuffix(" 00:00:00")
        case _:
            return str(value)
