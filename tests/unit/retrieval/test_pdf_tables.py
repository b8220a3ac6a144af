"""Ruled tables of PDFs: rows with their header, the text around them, what is no table, and pages made to harm."""

import io
import random
from collections.abc import Sequence

import pytest
from pypdf import PdfWriter
from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject, NumberObject

from services.retrieval.ingest.blocks import Kind
from services.retrieval.ingest.pdf import read_pdf

Texts = Sequence[Sequence[str]]
PARTS = [["Part", "Price"], ["Blender", "100"], ["Kettle", "40"]]
READ = ["Part: Blender; Price: 100", "Part: Kettle; Price: 40"]


def drawn(*pages: str, rotate: int = 0) -> bytes:
    """Pages of content, with the fonts /F1 and, in bold letters, /F2."""
    writer = PdfWriter()
    fonts = DictionaryObject()
    for name, base in (("/F1", "/Helvetica"), ("/F2", "/Helvetica-Bold")):
        font = {"/Type": "/Font", "/Subtype": "/Type1", "/BaseFont": base}
        entries = {NameObject(key): NameObject(value) for key, value in font.items()}
        fonts[NameObject(name)] = writer._add_object(DictionaryObject(entries))
    for content in pages:
        page = writer.add_blank_page(600, 800)
        stream = DecodedStreamObject()
        stream.set_data(content.encode())
        page[NameObject("/Resources")] = DictionaryObject({NameObject("/Font"): fonts})
        page[NameObject("/Contents")] = writer._add_object(stream)
        page[NameObject("/Rotate")] = NumberObject(rotate)
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def text(words: str, x: float, y: float, font: str = "F1") -> str:
    return f"BT /{font} 10 Tf 1 0 0 1 {x} {y} Tm ({words}) Tj ET\n"


def ruled(rows: Texts, top: float = 600, left: float = 50, width: float = 150, height: float = 20) -> str:
    """A table with lines around each cell; the first row in bold letters."""
    right, bottom = left + width * len(rows[0]), top - height * len(rows)
    levels = [f"{left} {top - height * at} m {right} {top - height * at} l S" for at in range(len(rows) + 1)]
    uprights = [f"{left + width * at} {bottom} m {left + width * at} {top} l S" for at in range(len(rows[0]) + 1)]
    cells = [
        text(words, left + 4 + width * x, top - height * (y + 1) + 6, "F1" if y else "F2")
        for y, row in enumerate(rows)
        for x, words in enumerate(row)
    ]
    return "\n".join([*levels, *uprights, *cells])


def blocks(data: bytes) -> list[tuple[Kind, str]]:
    return [(block.kind, block.text) for block in read_pdf(data).blocks]


def rows(data: bytes) -> list[str]:
    return [words for kind, words in blocks(data) if kind is Kind.TABLE]


def words(data: bytes) -> str:
    return " ".join(" ".join(words.split()) for _, words in blocks(data))


def test_a_table_is_read_as_rows_where_it_stands() -> None:
    page = text("Our prices are below.", 50, 700) + ruled(PARTS) + text("They change every year.", 50, 400)
    assert blocks(drawn(page)) == [
        (Kind.TEXT, "Our prices are below."),
        *((Kind.TABLE, row) for row in READ),
        (Kind.TEXT, "They change every year."),
    ]
    assert {block.page for block in read_pdf(drawn(page)).blocks} == {1}


def test_lines_are_drawn_in_many_ways() -> None:
    strokes = ruled(PARTS)
    texts = strokes[strokes.index("BT") :]
    thin = "".join(f"50 {y} 300 0.5 re f\n" for y in (540, 560, 580, 600))
    thin += "".join(f"{x} {y} 0.5 20 re f\n" for x in (50, 200, 350) for y in (540, 560, 580))
    boxes = "".join(f"{x} {y} 150 20 re S\n" for x in (50, 200) for y in (540, 560, 580))
    scaled = (
        f"q 10 0 0 10 0 0 cm {''.join(f'{x / 10} {y / 10} 15 2 re s ' for x in (50, 200) for y in (540, 560, 580))} Q\n"
    )
    open_sides = "".join(f"50 {y} m 350 {y} l S\n" for y in (540, 560, 580, 600)) + "200 540 m 200 600 l S\n"
    for lines in (thin, boxes, scaled, open_sides):
        assert rows(drawn(lines + texts)) == READ
    assert rows(drawn(boxes.replace("S", "n") + texts)) == []


def test_a_table_that_goes_on_over_pages_has_its_header_on_each() -> None:
    first, again = ruled(PARTS), ruled([PARTS[0], ["Toaster", "30"], ["Pan", "20"]])
    without = ruled([["Toaster", "30"], ["Pan", "20"]]).replace("/F2", "/F1")
    for second in (again, without):
        data = drawn(first + text("Page 1", 300, 20), second + text("Page 2", 300, 20))
        assert rows(data) == [*READ, "Part: Toaster; Price: 30", "Part: Pan; Price: 20"]
    between = drawn(first + text("Of our shop in Ulm.", 50, 400), without)
    assert rows(between)[-2:] == ["Toaster: 30", "Pan: 20"]
    narrower = ruled([["Toaster", "30"], ["Pan", "20"]], width=90).replace("/F2", "/F1")
    assert rows(drawn(first, narrower))[-2:] == ["Toaster: 30", "Pan: 20"]


def test_a_table_that_runs_through_the_pages_is_their_head() -> None:
    head = ruled([["ACME", "Manual", "7"], ["Issue", "3", "B"]], top=780)
    pages = [head.replace("(7)", f"({at})") + text(f"Chapter {name}.", 50, 400) for at, name in enumerate("ABCDE")]
    assert blocks(drawn(*pages)) == [(Kind.TEXT, f"Chapter {name}.") for name in "ABCDE"]


def test_tables_that_pages_begin_with_are_no_heads() -> None:
    pages = [ruled([["Part", "Price"], [name, "100"]]) for name in ("Blender", "Kettle", "Pan", "Pot", "Jar")]
    assert rows(drawn(*pages))[::4] == ["Part: Blender; Price: 100", "Part: Jar; Price: 100"]


def test_a_form_beside_a_table_is_not_in_its_way() -> None:
    assert rows(drawn("/Logo Do\n" + ruled(PARTS))) == READ


def test_words_of_a_cell_stay_apart() -> None:
    page = ruled([["Part", "Price"], ["Red", "5"], ["Pan", "7"]]) + text("wine", 90, 566)
    assert rows(drawn(page))[0] == "Part: Red wine; Price: 5"


def test_merged_cells_are_read_in_each_of_their_rows() -> None:
    lines = "".join(f"50 {y} m 350 {y} l S\n" for y in (520, 560, 580, 600)) + "150 540 m 350 540 l S\n"
    lines += "50 520 m 50 600 l S 150 520 m 150 580 l S 250 520 m 250 600 l S 350 520 m 350 600 l S\n"
    cells = text("Size", 55, 585, "F2") + text("Price", 255, 585, "F2")
    cells += text("Big", 55, 565) + text("L", 155, 565) + text("100", 255, 565)
    cells += text("Small", 55, 535) + text("M", 155, 545) + text("60", 255, 545) + text("S", 155, 525)
    cells += text("40", 255, 525)
    assert rows(drawn(lines + cells)) == [
        "Size: Big; Size: L; Price: 100", "Size: Small; Size: M; Price: 60", "Size: Small; Size: S; Price: 40",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("matrix", "rotate"), [("0 1 -1 0 650 0", 270), ("-1 0 0 -1 600 800", 180), ("0 -1 1 0 -50 600", 90)]
)
def test_a_turned_page_is_read_as_it_is_seen(matrix: str, rotate: int) -> None:
    assert rows(drawn(f"q {matrix} cm\n{ruled(PARTS)}\nQ", rotate=rotate)) == READ


def test_lines_of_text_are_rows_where_no_line_is_drawn_between_them() -> None:
    lines = "".join(f"50 {y} m 350 {y} l S\n" for y in (500, 580, 600)) + "200 500 m 200 600 l S\n"
    head = text("Part", 55, 585, "F2") + text("Price", 205, 585, "F2")
    names = "".join(text(name, 55, 565 - 15 * at) for at, name in enumerate(("Pan", "Pot", "Lid", "Jar")))
    prices = "".join(text(f"{at}0", 205, 565 - 15 * at) for at in range(4))
    assert rows(drawn(lines + head + names + prices)) == [
        f"Part: {name}; Price: {at}0" for at, name in enumerate(("Pan", "Pot", "Lid", "Jar"))
    ]
    uneven = "".join(text(f"{at}0", 205, 560 - 20 * at) for at in range(3))
    assert rows(drawn(lines + head + names + uneven)) == []


def test_a_cell_of_several_lines_is_one_value() -> None:
    page = ruled([["Part", "Use"], ["Pan", ""], ["Pot", ""]], height=40) + text("for frying", 204, 548)
    page += text("of fish", 204, 536) + text("for soup", 204, 496)
    assert rows(drawn(page)) == ["Part: Pan; Use: for frying of fish", "Part: Pot; Use: for soup"]


def test_columns_without_names_stay_without() -> None:
    plain = ruled([["s1", "A string in memory"], ["s2", "A string on the disk"]]).replace("/F2", "/F1")
    assert rows(drawn(plain)) == ["s1: A string in memory", "s2: A string on the disk"]
    named = ruled([["Name", "Use"], ["s1", "A string in memory"], ["s2", "A string on the disk"]])
    for uniform in (named.replace("/F2", "/F1"), named.replace("/F1", "/F2")):
        assert rows(drawn(uniform))[0] == "Name: s1; Use: A string in memory"


@pytest.mark.parametrize(
    "page",
    [
        "50 540 300 60 re S\n" + text("A note in a frame.", 55, 570),
        ruled([["A frame"], ["of one"], ["column"]]),
        ruled([["1", "2", "", ""], ["3", "4", "", ""], ["", "", "", ""]], width=100),  # a chart
        ruled([["A", "B"], ["Words that go on, far beyond the line at the right of their cell, as in a drawing", "C"]]),
        ruled([["A", "B"], ["", "C"], ["D", "E"]], height=200, top=700)
        + "".join(text("twenty letters long.", 54, 490 - 3 * at) for at in range(60)),
        ruled(PARTS).replace("200 540 m 200 600", "200 540 m 200 580").replace("50 580 m", "200 580 m"),  # an L
        ruled(PARTS).replace("200 540 m 200 600", "200 560 m 200 600").replace("50 560 m", "200 560 m"),
        ruled(PARTS).replace("l S", "l n"),
    ],
)  # fmt: skip
def test_what_is_no_table_for_certain_is_text(page: str) -> None:
    assert rows(drawn(page)) == []


def test_a_table_in_a_cell_is_read_and_not_the_one_around_it() -> None:
    outer = ruled([["Left", "Right"], ["", "Note"], ["End", "Fin"]], height=200, width=250, left=20, top=700)
    inner = ruled(PARTS, top=480, left=30, width=100)
    data = drawn(outer + "\n" + inner)
    assert rows(data) == READ
    assert sorted(words(data).split()) == sorted(" ".join(["Left Right Note End Fin", *READ]).split())


def test_no_page_is_lost_to_its_lines() -> None:
    random.seed(7)
    spots = [(random.randrange(600), random.randrange(800)) for _ in range(4000)]
    overlapping = "\n".join(
        f"{x} {y} m {x + 300} {y} l S {x} {y} m {x} {y + 300} l S {x} {y} {y / 9} {x / 9} re S" for x, y in spots
    )
    many = "0 0 m 9 9 l\n" * 100_000 + "S\n"
    grid = "".join(f"0 {at} m 600 {at} l S {at} 0 m {at} 800 l S\n" for at in range(0, 600, 4))
    broken = "(a) 1 m 2 l /N 3 re 1e308 0 0 1e308 1e308 0 cm 1e308 1e308 m 1e308 1e308 l S 1 1 9 9 re S\n" * 9
    nested = "q 0.9 0 0 0.9 1 1 cm\n" * 300 + ruled(PARTS, top=300) + "Q\n" * 300
    for lines in (overlapping, many, grid, broken, nested):
        found = words(drawn(f"q\n{lines}\nQ\n" + text("The page is here.", 50, 700) + ruled(PARTS)))
        assert "The page is here." in found
        assert "Blender" in found
