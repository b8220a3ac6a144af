"""Documents of Office, OpenDocument and EPUB."""

import pytest

from services.retrieval.errors import ContentTooLarge, DocumentError, DocumentUnreadable
from services.retrieval.ingest.blocks import Extract, Kind
from services.retrieval.ingest.books import read_epub
from services.retrieval.ingest.digest import digest
from services.retrieval.ingest.opendocument import read_odt
from services.retrieval.ingest.package import Package, beside
from services.retrieval.ingest.slides import read_pptx
from services.retrieval.ingest.split import split
from services.retrieval.ingest.word import read_docx
from services.runtime import media_types
from tests.fakes.documents import docx, epub, odt, paragraph, pptx, shape, word_table, zipped

READERS = {"docx": read_docx, "pptx": read_pptx, "odt": read_odt, "epub": read_epub}
ENTITIES = '<!DOCTYPE d [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]>'


def texts(extract: Extract) -> list[str]:
    return [block.text for block in extract.blocks]


def test_word_is_read_by_its_styles() -> None:
    core = "<c><title>Manual X200</title><creator>Ann</creator><created>2024-05-01</created></c>"
    body = "".join([
        paragraph("Warranty", "Heading1"), paragraph("Two years."), paragraph("Parts", "Heading2"),
        word_table([["Part", "Price"], ["Blender", "100"], ["Mixer", "250"]]),
    ])  # fmt: skip
    extract = read_docx(docx(body, core))
    assert texts(extract) == ["Warranty", "Two years.", "Parts", "Part: Blender; Price: 100", "Part: Mixer; Price: 250"]
    assert [block.level for block in extract.blocks if block.kind is Kind.HEADING] == [1, 2]
    assert (extract.title, extract.labels) == ("Manual X200", {"author": "Ann", "created": "2024-05-01"})


def test_words_table_of_contents_is_left_out() -> None:
    entry = '<w:p><w:hyperlink w:anchor="_Toc1"><w:r><w:t>Warranty 3</w:t></w:r></w:hyperlink></w:p>'
    body = entry * 3 + paragraph("Warranty", "Heading1") + paragraph("Two years.")
    assert texts(read_docx(docx(body))) == ["Warranty", "Two years."]


@pytest.mark.parametrize(
    ("mark", "is_read"), [("<w:vanish/>", False), ('<w:vanish w:val="0"/>', True), ("<w:webHidden/>", True)]
)
def test_hidden_text_of_word_is_left_out(mark: str, is_read: bool) -> None:
    runs = f'<w:r><w:t>Seen.</w:t></w:r><w:r><w:rPr>{mark}</w:rPr><w:t xml:space="preserve"> No.</w:t></w:r>'
    body = f"<w:p><w:pPr><w:rPr><w:vanish/></w:rPr></w:pPr>{runs}</w:p>"
    assert texts(read_docx(docx(body + paragraph("Two", "Heading1")))) == ["Seen." + " No." * is_read, "Two"]


def test_heads_and_feet_of_words_pages_are_said() -> None:
    text = "<w:p><w:r><w:t>{}</w:t></w:r></w:p>"
    parts = {"header1.xml": text.format("Confidential"), "footer1.xml": text.format("7"), "footer2.xml": ""}
    extract = read_docx(docx(paragraph("Two years."), parts=parts))
    assert (texts(extract), list(extract.warnings)) == (["Two years."], ["not read: 1 header or footer of pages"])


def test_charts_of_slides_are_said() -> None:
    chart = '<p:graphicFrame><c:chart xmlns:c="urn:c" r:id="r1"/></p:graphicFrame>'
    assert list(read_pptx(pptx([shape([(0, "Text")]) + chart])).warnings) == ["not read: 1 chart"]


def test_slides_are_pages() -> None:
    cell = "<a:tc><a:txBody><a:p><a:r><a:t>{}</a:t></a:r></a:p></a:txBody></a:tc>"
    row = f"<a:tr>{cell}{cell}</a:tr>"
    table = f'<a:tbl><a:tblPr firstRow="1"/>{row.format("Part", "Note")}{row.format("Blender", "red")}</a:tbl>'
    extract = read_pptx(
        pptx(
            [
                shape([(0, "Water"), (1, "from dams"), (0, "Power is what the whole valley lives on.")], "body")
                + shape([(0, "Overview")], "title") + shape([(0, "7")], "sldNum"),
                shape([(0, "Secret")]),
                table,
                "",
            ],
            notes={1: "Say hello."}, hidden=[2],
        )
    )  # fmt: skip
    assert [(block.page, block.kind, block.text) for block in extract.blocks] == [
        (1, Kind.HEADING, "Overview"),
        (1, Kind.LIST, "- Water"),
        (1, Kind.LIST, "  - from dams"),
        (1, Kind.LIST, "- Power is what the whole valley lives on."),
        (1, Kind.TEXT, "Say hello."),
        (3, Kind.HEADING, ""),
        (3, Kind.TABLE, "Part: Blender; Note: red"),
    ]
    assert extract.blocks[2].lead == "Water"
    assert list(extract.warnings) == ["not read: 1 hidden slide", "without text: 1 of 4 slides"]
    assert extract.title == "Overview"
    text, pieces = split(extract.blocks, 1000)
    assert [(piece.headings, text[slice(*piece.span)].partition("\n")[0]) for piece in pieces] == [
        (("Overview",), "Overview"), ((), "Part: Blender; Note: red"),
    ]  # fmt: skip
    assert text.endswith("Say hello.\n\nPart: Blender; Note: red")


def test_a_slide_of_its_title_alone_is_read() -> None:
    extract = read_pptx(pptx([shape([(0, "Thanks")], "title"), ""]))
    text, pieces = split(extract.blocks, 1000)
    assert (text, [piece.span for piece in pieces]) == ("Thanks", [(0, 6)])


def test_words_numbers_go_on_behind_bullets() -> None:
    numbering = (
        '<w:abstractNum w:abstractNumId="{0}"><w:lvl w:ilvl="0"><w:numFmt w:val="{1}"/></w:lvl></w:abstractNum>'
        '<w:num w:numId="{0}"><w:abstractNumId w:val="{0}"/></w:num>'
    )
    item = (
        '<w:p><w:pPr><w:numPr><w:ilvl w:val="0"/><w:numId w:val="{}"/></w:numPr></w:pPr><w:r><w:t>{}</w:t></w:r></w:p>'
    )
    body = "".join(item.format(*each) for each in [(1, "Drain it."), (2, "Use a bucket."), (1, "Open it.")])
    book = docx(body, numbering=numbering.format(1, "decimal") + numbering.format(2, "bullet"))
    assert texts(read_docx(book)) == ["1. Drain it.", "  - Use a bucket.", "2. Open it."]


@pytest.mark.parametrize("levels", [[0, 1, 2, 0], [2, 1, 0], [1, 3, 2, 3, 0, 5], [0, 0], [3, 0, 3]])
def test_items_of_any_levels_are_read(levels: list[int]) -> None:
    items = [(level, f"Item {number} of that list is no short one.") for number, level in enumerate(levels)]
    extract = read_pptx(pptx([shape(items, "body")]))
    assert [text.strip(" -") for text in texts(extract)] == [text for _, text in items]


def test_opendocument() -> None:
    cell = "<table:table-cell><text:p>{}</text:p></table:table-cell>"
    row = "<table:table-row>" + cell + cell + "</table:table-row>"
    body = (
        "<text:tracked-changes><text:p>gone</text:p></text:tracked-changes>",
        '<text:h text:outline-level="2">Dams</text:h>',
        "<text:p>Hold<text:s/>water<text:note><text:note-citation>1</text:note-citation><text:note-body>",
        "<text:p>A note.</text:p></text:note-body></text:note> back.</text:p>",
        "<text:list><text:list-item><text:p>An item that says what there is to be said of dams.</text:p>",
        "</text:list-item></text:list><table:table>",
        f"<table:table-header-rows>{row.format('Part', 'Note')}</table:table-header-rows>",
        row.format("Blender", "red"),
        "</table:table>",
    )
    extract = read_odt(odt("".join(body)))
    assert texts(extract) == [
        "Dams", "Hold water back.", "A note.", "- An item that says what there is to be said of dams.",
        "Part: Blender; Note: red",
    ]  # fmt: skip
    assert (extract.title, extract.blocks[0].level) == ("Rivers", 2)


def test_a_repeated_cell_is_repeated_no_more_than_there_are_columns() -> None:
    cells = '<table:table-cell table:number-columns-repeated="999999999"><text:p>x</text:p></table:table-cell>'
    extract = read_odt(odt(f"<table:table><table:table-row>{cells * 100}</table:table-row></table:table>"))
    assert len(extract.blocks) == 1


def test_books_are_read_in_the_order_of_their_spine() -> None:
    extract = read_epub(
        epub({"two.xhtml": "<h1>Two</h1><p>b</p>", "a%20one.xhtml": ""} | {"text/one.xhtml": "<p>a</p>"})
    )
    assert texts(extract) == ["Two", "b", "a"]
    assert (extract.title, extract.labels) == ("A Book", {"author": "Ann"})
    assert list(extract.warnings) == ["broken: 1 of 3 chapters"]


def test_nothing_outside_of_a_book_is_read() -> None:
    extract = read_epub(
        epub({"../../../../etc/passwd": "", "file:///etc/passwd": "", "/etc/passwd": "", "a.xhtml": "<p>a</p>"})
    )
    assert texts(extract) == ["a"]
    assert beside("OEBPS/book.opf", "../../../etc/passwd") == "../../etc/passwd"


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize(
    "data",
    [b"", b"text", b"PK\x03\x04" + bytes(100), zipped({"a": "b"}), b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600)],
)
def test_what_is_of_no_such_format_is_refused(kind: str, data: bytes) -> None:
    with pytest.raises(DocumentUnreadable):
        READERS[kind](data)


@pytest.mark.parametrize("kind", READERS)
def test_files_of_one_format_named_as_another_are_refused(kind: str) -> None:
    others = {"docx": pptx([""]), "pptx": docx(""), "odt": epub({}), "epub": odt("")}
    with pytest.raises(DocumentUnreadable):
        READERS[kind](others[kind])


WHOLE = {
    "docx": docx(paragraph("Water " * 2000)),
    "pptx": pptx([shape([(0, "Water " * 2000)])]),
    "odt": odt(f"<text:p>{'Water ' * 2000}</text:p>"),
    "epub": epub({"a.xhtml": f"<p>{'Water ' * 2000}</p>"}),
}


@pytest.mark.parametrize("kind", READERS)
def test_whole_files_are_read_and_cut_ones_refused(kind: str) -> None:
    assert READERS[kind](WHOLE[kind]).blocks
    for length in (len(WHOLE[kind]) // 3, len(WHOLE[kind]) - 10):
        with pytest.raises(DocumentUnreadable):
            READERS[kind](WHOLE[kind][:length])


def test_xml_that_declares_entities_is_refused() -> None:
    parts = {
        "docx": {"_rels/.rels": "<a/>", "word/document.xml": f"{ENTITIES}<d>&b;</d>"},
        "pptx": {"ppt/presentation.xml": f"{ENTITIES}<d>&b;</d>"},
        "odt": {"content.xml": f"{ENTITIES}<d>&b;</d>"},
        "epub": {"META-INF/container.xml": f"{ENTITIES}<d>&b;</d>"},
    }
    for kind, entries in parts.items():
        with pytest.raises(DocumentUnreadable, match="entities"):
            READERS[kind](zipped(entries))


@pytest.mark.parametrize("kind", READERS)
def test_bombs_are_too_large(kind: str) -> None:
    with pytest.raises(ContentTooLarge):
        READERS[kind](zipped({"content.xml": b" " * (32 << 20)}))


@pytest.mark.parametrize(
    ("kind", "deep"),
    [
        ("docx", docx("<w:tbl><w:tr><w:tc>" * 3000 + "</w:tc></w:tr></w:tbl>" * 3000)),
        ("odt", odt("<text:section>" * 30000 + "</text:section>" * 30000)),
    ],
)
def test_what_is_nested_too_deeply_is_refused(kind: str, deep: bytes) -> None:
    with pytest.raises(DocumentError, match="nested"):
        READERS[kind](deep)


def test_an_encrypted_one_is_refused() -> None:
    with pytest.raises(DocumentUnreadable, match="password"):
        read_odt(odt("", manifest="<m><encryption-data/></m>"))
    broken = bytearray(zipped({"content.xml": "<a/>"}))
    for head, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        broken[broken.index(head) + flags] |= 1
    with pytest.raises(DocumentUnreadable, match="password"):
        Package(bytes(broken)).read("content.xml")


@pytest.mark.parametrize(
    ("media_type", "kind"),
    [(media_types.DOCX, "docx"), (media_types.PPTX, "pptx"), (media_types.ODT, "odt"), (media_types.EPUB, "epub")],
)
def test_each_media_type_has_its_reader(media_type: str, kind: str) -> None:
    assert digest(media_type, WHOLE[kind], 1200).pieces
