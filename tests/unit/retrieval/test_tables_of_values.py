"""CSV, TSV and spreadsheets."""

import csv
import io
import time
import zipfile
from dataclasses import replace

import pytest

from services.retrieval.errors import ContentTooLarge, DocumentError, DocumentUnreadable
from services.retrieval.ingest import delimited, extents, package, records
from services.retrieval.ingest.blocks import Extract, Kind
from services.retrieval.ingest.delimited import read_csv, read_tsv, separator_of
from services.retrieval.ingest.records import names_columns
from services.retrieval.ingest.sheets import read_sheets
from tests.fakes.documents import SHEET, Value, ods, ods_row, relations, xlsx, zipped

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


@pytest.mark.parametrize(
    ("below", "read"),
    [
        ("Bob,fi\x0bne\nCyd,ok\n", ["name: Bob; note: fi ne", "name: Cyd; note: ok"]),
        ('Bob,"a, b"\nCyd,"c\nd"\n', ["name: Bob; note: a, b", "name: Cyd; note: c d"]),
        ('Bob,"a"b\nCyd,ok\n', ["name: Bob; note: ab", "name: Cyd; note: ok"]),
    ],
)
def test_a_quote_that_nothing_closes_is_of_its_row_alone(below: str, read: list[str]) -> None:
    extract = read_csv(f'name,note\nEve,"x\ny"\nAda,"never closed\n{below}'.encode())
    assert texts(extract) == ["name: Eve; note: x y", 'name: Ada; note: "never closed', *read]
    assert list(extract.warnings) == ["read as written, with a quote that nothing closes: 1 row"]


def test_a_mark_of_inches_is_no_quote() -> None:
    extract = read_csv(b'name,size\npipe,5" wide\nrod,"1, 2"\n')
    assert texts(extract) == ['name: pipe; size: 5" wide', "name: rod; size: 1, 2"]
    assert not extract.warnings


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


def test_merged_cells_stand_in_each_of_their_rows() -> None:
    rows: list[list[Value]] = [["Dept", "Person"], ["Legal", "Una"], [None, "Vic"], ["IT", "Wim"]]
    read = ["S", "Dept: Legal; Person: Una", "Dept: Legal; Person: Vic", "Dept: IT; Person: Wim"]
    assert texts(read_sheets(xlsx({"S": rows}, merged=["A2:A3"]))) == read
    shifted: list[list[Value]] = [[], *([None, None, *row] for row in rows)]
    assert texts(read_sheets(xlsx({"S": shifted}, merged=["C3:C4"]))) == read
    down = 'table:number-rows-spanned="2"'
    book = ods("".join([
        ods_row("Dept", "Person"), ods_row(("Legal", down), "Una"), ods_row(None, "Vic"), ods_row("IT", "Wim"),
    ]))  # fmt: skip
    assert texts(read_sheets(book)) == read


def test_merged_cells_of_opendocument_are_behind_repeated_rows() -> None:
    rows = [
        ods_row("A", "B"), ods_row("x", "y", attributes='table:number-rows-repeated="2"'),
        ods_row(("p", 'table:number-rows-spanned="2" table:formula="a>b"'), "1"), ods_row(None, "2"),
    ]  # fmt: skip
    read = ["S", "A: x; B: y", "A: x; B: y", "A: p; B: 1", "A: p; B: 2"]
    assert texts(read_sheets(ods("".join(rows)))) == read


def test_merged_headers_name_the_columns_below_them() -> None:
    rows: list[list[Value]] = [
        ["Boat", "Length", None, "Crew"],
        [None, "overall", "waterline", "min"],
        ["Saga", 12.5, 10.1, 3],
    ]
    read = ["S", "Boat: Saga; Length overall: 12.5; Length waterline: 10.1; Crew min: 3"]
    assert texts(read_sheets(xlsx({"S": rows}, merged=["A1:A2", "B1:C1"]))) == read
    years: list[list[Value]] = [
        [None, 2023, None, 2024, None],
        ["Region", "H1", "H2", "H1", "H2"],
        ["North", 1, 2, 3, 4],
    ]
    read = ["S", "Region: North; 2023 H1: 1; 2023 H2: 2; 2024 H1: 3; 2024 H2: 4"]
    assert texts(read_sheets(xlsx({"S": years}, merged=["B1:C1", "D1:E1"]))) == read


def test_rows_that_merged_cells_make_higher_do_not_end_a_table() -> None:
    rows: list[list[Value]] = [["A", "B"], ["x", 1], [], ["y", 2], ["Group", None], ["z", 3]]
    read = ["S", "A: x; B: 1", "A: y; B: 2", "Group; A: z; B: 3"]
    assert texts(read_sheets(xlsx({"S": rows}, merged=["A2:A3", "B2:B3", "A5:B5"]))) == read


@pytest.mark.parametrize(
    ("number", "read"),
    [
        ("12345678901234567", "12345678901234568"), ("1.5e+20", "150000000000000000000"),
        ("999999999999999", "999999999999999"),
        ("0.30000000000000004", "0.3"), ("0.1234567891234", "0.1234567891234"), ("1e-7", "0.0000001"), ("0", "0"),
        ("-2500", "-2500"), ("1e300", "1e+300"), ("4006381333931", "4006381333931"), ("1234567.5", "1234567.5"),
    ],
)  # fmt: skip
def test_a_number_of_a_sheet_is_read_in_full(number: str, read: str) -> None:
    book = xlsx({"S": [["Part", "Price"], ["a", 77777.0]]})
    with zipfile.ZipFile(io.BytesIO(book)) as file:
        entries = {name: file.read(name).replace(b"77777.0", number.encode()) for name in file.namelist()}
    assert texts(read_sheets(zipped(entries))) == ["S", f"Part: a; Price: {read}"]


def test_formulas_without_a_value_and_errors_are_said() -> None:
    cells = (
        b'<c r="A2"><f>SUM(B1:B9)</f><v></v></c><c r="B2"><f>A1</f></c><c r="C2"><f t="shared" si="0"/><v/></c>'
        b'<c r="D2"><f>1+1</f><v>2</v></c><c r="E2" t="str"><f>IF(A1,"","x")</f><v></v></c>'
        b'<c r="F2" t="e"><f>1/0</f><v>#DIV/0!</v></c>'
    )
    book = xlsx({"S": [["Part", "Price"], [77777.0]], "T": [["a", "b"], [77777.0]]}, hidden=["T"])
    with zipfile.ZipFile(io.BytesIO(book)) as file:
        entries = {name: file.read(name).replace(b'<c r="A2"><v>77777.0</v></c>', cells) for name in file.namelist()}
    folder = "xl/worksheets/"
    entries[f"{folder}_rels/sheet1.xml.rels"] = relations({"r1": ("comments", "../comments1.xml")}).encode()
    entries["xl/comments1.xml"] = b'<comments><commentList><comment ref="A1"/></commentList></comments>'
    assert list(read_sheets(zipped(entries)).warnings) == [
        "not read: 1 hidden sheet",
        "without a value, as they were never computed: 3 formulas",
        "not read: 1 cell with an error such as #DIV/0!",
        "not read: 1 comment",
    ]


def test_a_million_empty_rows_take_no_time() -> None:
    rows = '<table:table-row table:number-rows-repeated="1048000"><table:table-cell/></table:table-row>'
    book = ods(ods_row("A", "B") + ods_row("x", "1") + rows + ods_row("y", "2"))
    began = time.process_time()
    assert texts(read_sheets(book)) == ["S", "A: x; B: 1", "A: y; B: 2"]
    assert time.process_time() - began < 3


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
    monkeypatch.setattr(extents, "MOST_AREA", 5)
    with pytest.raises(ContentTooLarge, match="spans"):
        read_sheets(xlsx({"S": [["a", "b"], ["c", "d"], ["e", "f"]]}))
    assert read_sheets(xlsx({"S": [["a", "b"], ["c", "d"]]})).blocks


def test_repeated_cells_of_opendocument_span_as_many() -> None:
    """A sheet of 855 bytes took 1.2 GB."""
    cell = '<table:table-cell table:number-columns-repeated="{}" {}/>'
    row = '<table:table-row table:number-rows-repeated="{}">{}</table:table-row>'
    value = 'office:value-type="string" office:string-value="x"'
    with pytest.raises(ContentTooLarge, match="spans"):
        read_sheets(ods(row.format(1200, cell.format(16_000, value))))
    with pytest.raises(ContentTooLarge, match="spans"):
        read_sheets(ods(row.format(1_000_000, "") + row.format(1, cell.format(10, "") + cell.format(1, value))))
    assert read_sheets(
        ods(row.format(1, cell.format(1, value)) + row.format(1_000_000, cell.format(16_384, "")))
    ).blocks


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
    before = csv.field_size_limit()
    with pytest.raises(DocumentUnreadable, match="field larger"):
        read_csv(b'a,b\n"' + b"x" * 200 + b'",y')
    assert csv.field_size_limit() == before, "the limit is the whole process's"
