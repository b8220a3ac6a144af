"""CSV, TSV and spreadsheets."""

import io
import zipfile
from dataclasses import replace

import pytest

from services.retrieval.errors import ContentTooLarge, DocumentError, DocumentUnreadable
from services.retrieval.ingest import delimited, package, records, sheets
from services.retrieval.ingest.blocks import Extract, Kind
from services.retrieval.ingest.delimited import read_csv, read_tsv, separator_of
from services.retrieval.ingest.records import names_columns
from services.retrieval.ingest.sheets import read_sheets
from tests.fakes.documents import SHEET, xlsx, zipped

CSV = "Part,Price,Stock\nBlender,100,5\nMixer,250,0\n"


def texts(extract: Extract) -> list[str]:
    return [block.text for block in extract.blocks]


def test_rows_of_csv_name_their_values() -> None:
    extract = read_csv(CSV.encode())
    assert texts(extract) == ["Part: Blender; Price: 100; Stock: 5", "Part: Mixer; Price: 250; Stock: 0"]
    assert {block.kind for block in extract.blocks} == {Kind.TABLE}
    assert (extract.encoding, list(extract.warnings)) == ("utf-8", [])


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_the_separator_is_told(separator: str) -> None:
    rows = [["Name", "Note, long; too"], ["a", 'x "y"\nz'], ["b", "1,5"]]
    quoted = "\n".join(separator.join(f'"{value.replace(chr(34), chr(34) * 2)}"' for value in row) for row in rows)
    assert separator_of(quoted) == separator
    assert texts(read_csv(quoted.encode())) == ['Name: a; Note, long; too: x "y" z', "Name: b; Note, long; too: 1,5"]


def test_a_separator_that_excel_names_goes_before_all_others() -> None:
    assert texts(read_csv(b"sep=;\nA;B,C\nx;y,z\n")) == ["A: x; B,C: y,z"]


def test_tsv_has_tabs_alone() -> None:
    assert texts(read_tsv(b"A\tB, C\nx\ty, z\n")) == ["A: x; B, C: y, z"]


def test_an_old_encoding_is_named() -> None:
    rows = "Artikel;Größe\n" + "Der Stuhl ist für die Küche und nicht für den Garten;groß\n" * 3
    assert read_csv(rows.encode("cp1252")).encoding == "cp1252"


@pytest.mark.parametrize(
    ("rows", "named"),
    [
        ([["Part", "Price"], ["a", "1"]], True),
        ([["Region", "2023", "2024"], ["North", "5", "6"]], True),
        ([["Name", "Born"], ["Ann", "1990"]], True),
        ([["Ann", "1990"], ["Bob", "1991"]], False),
        ([["a", "12.50"], ["b", "3"]], False),
        ([["a", "EUR 5"], ["b", "EUR 6"]], False),
        ([["a", "2024-05-01"], ["b", "x"]], False),
        ([["x", "x"], ["a", "b"]], False),
        ([["", "A", "B"], ["1", "2", "3"]], False),
        ([["", "A", "B", "C"], ["1", "2", "3", "4"]], True),
        ([["word " * 30, "b"], ["1", "2"]], False),
    ],
)
def test_names_of_columns(rows: list[list[str]], named: bool) -> None:
    assert names_columns(rows[0], rows[1:]) is named


def test_a_sheet_is_a_heading_with_its_tables() -> None:
    book = xlsx({
        "Prices": [["Price list 2024", None], [], ["Part", "Price"], ["Blender", 100.0], [], ["Mixer", 250.5]],
        "Secret": [["Key", "Value"], ["a", "b"]],
        "Empty": [],
    }, hidden=["Secret"])  # fmt: skip
    extract = read_sheets(book)
    assert texts(extract) == [
        "Prices", "Price list 2024", "Part: Blender; Price: 100", "Part: Mixer; Price: 250.5", "Empty",
    ]  # fmt: skip
    assert list(extract.warnings) == ["not read: 1 hidden sheet"]


def test_what_is_beyond_the_limits_is_left_out_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "MOST_ROWS", 3)
    monkeypatch.setattr(records, "LONGEST_VALUE", 10)
    wide = ",".join(f"c{n}" for n in range(80))
    rows = "\n".join([wide, *[",".join(["v" * 20] + ["1"] * 79)] * 5])
    extract = read_csv(rows.encode())
    assert len(extract.blocks) == 2
    assert extract.blocks[0].text.startswith("c0: vvvvvvvvvv; c1: 1;")
    assert list(extract.warnings) == [
        "not read: 3 rows behind the first 3",
        "read to column 64 only: 6 rows",
        "cut to 10 characters: 5 values",
    ]


def test_a_sheet_that_spans_too_much_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sheets, "MOST_AREA", 5)
    with pytest.raises(ContentTooLarge, match="spans"):
        read_sheets(xlsx({"S": [["a", "b"], ["c", "d"], ["e", "f"]]}))
    assert read_sheets(xlsx({"S": [["a", "b"], ["c", "d"]]})).blocks


@pytest.mark.parametrize("place", ["XFD1048576", "ZZZZZZZ4294967295"])
def test_a_cell_that_is_far_away_is_too_large(place: str) -> None:
    """A column beyond any made the library give up, which is no Exception."""
    sheet = f'<worksheet xmlns="{SHEET}"><sheetData><row><c r="{place}"><v>1</v></c></row></sheetData></worksheet>'
    with zipfile.ZipFile(io.BytesIO(xlsx({"S": [["a"]]}))) as made:
        entries = {name: made.read(name) for name in made.namelist()}
    book = zipped({**entries, "xl/worksheets/sheet1.xml": sheet})
    with pytest.raises(ContentTooLarge, match="spans"):
        read_sheets(book)


def bomb() -> bytes:
    return zipped({"xl/worksheets/sheet1.xml": b" " * (64 << 20)})


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"PK\x03\x04 and nothing", DocumentUnreadable),
        (xlsx({"S": [["a", "b"]]})[:-30], DocumentUnreadable),
        (b"a,b\n1,2\n", DocumentUnreadable),
        (zipped({"a.txt": b"x"}), DocumentUnreadable),
        (bomb(), ContentTooLarge),
    ],
)
def test_what_is_no_workbook_is_refused(data: bytes, error: type[DocumentError]) -> None:
    with pytest.raises(error):
        read_sheets(data)


def test_an_archive_of_too_many_files_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(package, "LIMITS", replace(package.LIMITS, entries=2))
    with pytest.raises(ContentTooLarge, match="files"):
        package.Package(zipped({"a": b"", "b": b"", "c": b""}))


def test_a_value_that_is_too_long_for_any_table_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delimited, "LONGEST_FIELD", 100)
    with pytest.raises(DocumentUnreadable, match="field larger"):
        read_csv(b'a,b\n"' + b"x" * 200 + b'",y')
