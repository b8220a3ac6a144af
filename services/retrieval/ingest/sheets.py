"""Reads spreadsheets: XLSX, XLS and ODS. A sheet is a heading with its tables; formulas are read as their values."""

import io
from collections.abc import Iterable, Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal

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
from services.retrieval.ingest.extents import check_extents
from services.retrieval.ingest.faults import reading
from services.retrieval.ingest.merges import Merges, Range, opendocument_shapes
from services.retrieval.ingest.omissions import omissions
from services.retrieval.ingest.outline import Outline
from services.retrieval.ingest.package import Package
from services.retrieval.ingest.records import Records
from services.retrieval.ingest.workbook_parts import unread

MOST_SHEETS = 500
LARGEST = 1e21
"""A greater number is written with an exponent."""
_CONTENT = "content.xml"
_ZIP = b"PK\x03\x04"

Value = int | float | str | bool | time | date | datetime | timedelta


def read_sheets(data: bytes) -> Extract:
    """Raises DocumentUnreadable, ContentTooLarge."""
    package = Package(data) if data.startswith(_ZIP) else None
    shapes = opendocument_shapes(package.read(_CONTENT)) if package and _CONTENT in package else []
    if package:
        check_extents(package, shapes)
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
        for number, sheet in enumerate(sheets):
            if sheet.visible is not SheetVisibleEnum.Visible:
                hidden += 1
                continue
            outline.heading(1, sheet.name)
            cells = workbook.get_sheet_by_name(sheet.name)
            own = shapes[number].merged if len(shapes) == len(sheets) else []
            ranges = cells.merged_cell_ranges or own
            records.write(_rows(cells), Merges(_from_left(ranges, cells.start)) if ranges else None)
        left_out = unread(package) if package else []
    warnings = omissions((hidden, "not read: {} hidden sheet(s)"))
    return Extract("", outline.blocks, warnings=[*warnings, *left_out, *records.warnings()])


def _from_left(ranges: Iterable[Range], start: tuple[int, int] | None) -> Iterator[Range]:
    """Merged cells as the rows have them: rows are counted from the sheet's first, columns from the first with a
    value."""
    left = start[1] if start else 0
    for (first, column), (last, right) in ranges:
        if right >= left:
            yield (first, max(0, column - left)), (last, right - left)


def _rows(sheet: CalamineSheet) -> Iterator[list[str]]:
    """The rows as texts, [] for an empty one: there may be a million. A value of merged cells stands in the first."""
    for row in sheet.iter_rows():
        yield [] if row.count("") == len(row) else [_text(value) for value in row]


def _text(value: Value) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case float():
            return _number_text(value)
        case datetime():
            return value.isoformat(" ").removesuffix(" 00:00:00")
        case _:
            return str(value)


def _number_text(value: float) -> str:
    """A number as people write it, without an exponent up to LARGEST: a whole one in full, others by the 15 digits that
    spreadsheets have."""
    text = repr(value) if value.is_integer() else f"{value:.15g}"
    return f"{Decimal(text):f}".removesuffix(".0") if 1 / LARGEST < abs(value) < LARGEST or not value else text
