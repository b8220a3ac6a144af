"""Documents of other programs' formats, made by hand: small, and as broken as a test wants them."""

import io
import zipfile
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape, quoteattr

RELATIONS = "http://schemas.openxmlformats.org/package/2006/relationships"
LINKS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
SHEET = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"

Value = str | float | None


def zipped(entries: Mapping[str, str | bytes]) -> bytes:
    """A zip archive."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in entries.items():
            file.writestr(name, content)
    return out.getvalue()


def relations(targets: Mapping[str, tuple[str, str]]) -> str:
    """A part's relations: their kind and target by id."""
    each = "".join(
        f'<Relationship Id="{name}" Type="{LINKS}/{kind}" Target="{target}"/>'
        for name, (kind, target) in targets.items()
    )
    return f'<Relationships xmlns="{RELATIONS}">{each}</Relationships>'


def xlsx(
    sheets: Mapping[str, Sequence[Sequence[Value]]], hidden: Sequence[str] = (), merged: Sequence[str] = ()
) -> bytes:
    """A workbook; in each of its sheets the same ranges, such as A1:B2, are merged."""
    listed = "".join(
        f'<sheet name={quoteattr(name)} sheetId="{at}" r:id="r{at}"{" state=" * (name in hidden)}'
        f"{quoteattr('hidden') * (name in hidden)}/>"
        for at, name in enumerate(sheets, 1)
    )
    places = {f"r{at}": ("worksheet", f"worksheets/sheet{at}.xml") for at in range(1, len(sheets) + 1)}
    entries = {
        "_rels/.rels": relations({"r1": ("officeDocument", "xl/workbook.xml")}),
        "xl/workbook.xml": f'<workbook xmlns="{SHEET}" xmlns:r="{LINKS}"><sheets>{listed}</sheets></workbook>',
        "xl/_rels/workbook.xml.rels": relations(places),
    }
    ranges = "".join(f'<mergeCell ref="{each}"/>' for each in merged)
    merges = f"<mergeCells>{ranges}</mergeCells>" if merged else ""
    for at, rows in enumerate(sheets.values(), 1):
        body = "".join(
            f'<row r="{row}">{"".join(_cell(value, row, column) for column, value in enumerate(values))}</row>'
            for row, values in enumerate(rows, 1)
        )
        entries[f"xl/worksheets/sheet{at}.xml"] = (
            f'<worksheet xmlns="{SHEET}"><sheetData>{body}</sheetData>{merges}</worksheet>'
        )
    return zipped(entries)


def _cell(value: Value, row: int, column: int) -> str:
    place = f"{chr(65 + column)}{row}"
    if value is None:
        return ""
    if isinstance(value, str):
        return f'<c r="{place}" t="inlineStr"><is><t>{escape(value)}</t></is></c>'
    return f'<c r="{place}"><v>{value}</v></c>'


def ods(rows: str) -> bytes:
    """A workbook of one sheet, S; `rows` are its rows, with the namespaces office, table, text."""
    base = "urn:oasis:names:tc:opendocument:xmlns"
    spaces = " ".join(f'xmlns:{name}="{base}:{name}:1.0"' for name in ("office", "table", "text"))
    kind = "application/vnd.oasis.opendocument.spreadsheet"
    return zipped({
        "mimetype": kind,
        "META-INF/manifest.xml": f'<m:manifest xmlns:m="{base}:manifest:1.0"/>',
        "content.xml": f"<office:document-content {spaces}><office:body><office:spreadsheet>"
        f'<table:table table:name="S">{rows}</table:table>'
        "</office:spreadsheet></office:body></office:document-content>",
    })  # fmt: skip


def ods_row(*cells: str | tuple[str, str] | None, attributes: str = "") -> str:
    """One of its rows: texts, texts with the attributes of their cell, cells that others cover."""
    body = ""
    for cell in cells:
        text, said = cell if isinstance(cell, tuple) else (cell, "")
        closed = "</table:table-cell>"
        opened = f'<table:table-cell office:value-type="string" {said}>'
        body += "<table:covered-table-cell/>" if text is None else f"{opened}<text:p>{escape(text)}</text:p>{closed}"
    return f"<table:table-row {attributes}>{body}</table:table-row>"


def docx(body: str, core: str = "", numbering: str = "", parts: Mapping[str, str] | None = None) -> bytes:
    """A Word document with the styles Heading1 and Heading2; `body` has no namespaces but w."""
    main = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    styles = "".join(
        f'<w:style w:type="paragraph" w:styleId="Heading{level}"><w:name w:val="heading {level}"/></w:style>'
        for level in (1, 2)
    )
    return zipped({
        "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>',
        "_rels/.rels": relations({"r1": ("officeDocument", "word/document.xml")}),
        "word/_rels/document.xml.rels": relations({
            "r1": ("styles", "styles.xml"), "r2": ("numbering", "numbering.xml"),
        }),
        "word/numbering.xml": f'<w:numbering xmlns:w="{main}">{numbering}</w:numbering>',
        "word/styles.xml": f'<w:styles xmlns:w="{main}">{styles}</w:styles>',
        "word/document.xml": f'<w:document xmlns:w="{main}"><w:body>{body}</w:body></w:document>',
        "docProps/core.xml": core or "<none/>",
        **{f"word/{name}": f'<w:part xmlns:w="{main}">{part}</w:part>' for name, part in (parts or {}).items()},
    })  # fmt: skip


def paragraph(text: str, style: str = "") -> str:
    """One of a Word document."""
    named = f'<w:pPr><w:pStyle w:val="{style}"/></w:pPr>' if style else ""
    return f"<w:p>{named}<w:r><w:t>{escape(text)}</w:t></w:r></w:p>"


def word_table(rows: Sequence[Sequence[str]]) -> str:
    """One whose first row is its header."""
    head = "<w:trPr><w:tblHeader/></w:trPr>"
    body = "".join(
        f"<w:tr>{head * (at == 0)}{''.join(f'<w:tc>{paragraph(value)}</w:tc>' for value in row)}</w:tr>"
        for at, row in enumerate(rows)
    )
    return f"<w:tbl>{body}</w:tbl>"


def pptx(slides: Sequence[str], notes: Mapping[int, str] | None = None, hidden: Sequence[int] = ()) -> bytes:
    """A presentation; a slide is its shapes, numbered from 1."""
    main = "http://schemas.openxmlformats.org/presentationml/2006/main"
    draw = "http://schemas.openxmlformats.org/drawingml/2006/main"
    spaces = f'xmlns:p="{main}" xmlns:a="{draw}" xmlns:r="{LINKS}"'
    listed = "".join(f'<p:sldId id="{255 + at}" r:id="r{at}"/>' for at in range(1, len(slides) + 1))
    # Parts are not numbered in the order of the slides.
    places = {f"r{at}": ("slide", f"slides/slide{len(slides) - at + 1}.xml") for at in range(1, len(slides) + 1)}
    entries = {
        "ppt/presentation.xml": f"<p:presentation {spaces}><p:sldIdLst>{listed}</p:sldIdLst></p:presentation>",
        "ppt/_rels/presentation.xml.rels": relations(places),
    }
    for at, shapes in enumerate(slides, 1):
        name = places[f"r{at}"][1].rpartition("/")[2]
        shown = ' show="0"' * (at in hidden)
        entries[f"ppt/slides/{name}"] = f"<p:sld {spaces}{shown}><p:cSld><p:spTree>{shapes}</p:spTree></p:cSld></p:sld>"
        if notes and at in notes:
            entries[f"ppt/slides/_rels/{name}.rels"] = relations({"n": ("notesSlide", f"../notesSlides/n{at}.xml")})
            entries[f"ppt/notesSlides/n{at}.xml"] = f"<p:notes {spaces}>{shape([(0, notes[at])], 'body')}</p:notes>"
    return zipped(entries)


def shape(paragraphs: Sequence[tuple[int, str]], role: str = "") -> str:
    """A slide's shape with its paragraphs, each with its level."""
    holder = f'<p:nvSpPr><p:nvPr><p:ph type="{role}"/></p:nvPr></p:nvSpPr>' if role else ""
    texts = "".join(
        f'<a:p><a:pPr lvl="{level}"/><a:r><a:t>{escape(text)}</a:t></a:r></a:p>' for level, text in paragraphs
    )
    return f"<p:sp>{holder}<p:txBody>{texts}</p:txBody></p:sp>"


def odt(body: str, manifest: str = "<m/>") -> bytes:
    """A text of OpenDocument; `body` has the prefixes text and table."""
    names = "urn:oasis:names:tc:opendocument:xmlns:"
    spaces = " ".join(f'xmlns:{prefix}="{names}{prefix}:1.0"' for prefix in ("office", "text", "table", "meta"))
    title = '<dc:title xmlns:dc="http://purl.org/dc/elements/1.1/">Rivers</dc:title>'
    return zipped({
        "mimetype": "application/vnd.oasis.opendocument.text",
        "META-INF/manifest.xml": manifest,
        "meta.xml": f"<office:document-meta {spaces}><office:meta>{title}</office:meta></office:document-meta>",
        "content.xml": f"<office:document-content {spaces}><office:body><office:text>{body}</office:text></office:body>"
        "</office:document-content>",
    })  # fmt: skip


def epub(chapters: Mapping[str, str], nav: str = "", title: str = "A Book") -> bytes:
    """A book of XHTML; the chapters by their entry's name beside the book's own."""
    kind = 'media-type="application/xhtml+xml"'
    items = "".join(f'<item id="c{at}" href="{name}" {kind}/>' for at, name in enumerate(chapters))
    spine = "".join(f'<itemref idref="c{at}"/>' for at in range(len(chapters)))
    dc = 'xmlns:dc="http://purl.org/dc/elements/1.1/"'
    return zipped({
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": '<container><rootfile full-path="OEBPS/book.opf"/></container>',
        "OEBPS/book.opf": f"<package {dc}><metadata><dc:title>{title}</dc:title><dc:creator>Ann</dc:creator></metadata>"
        f'<manifest><item id="nav" href="nav.xhtml" {kind} properties="nav"/>{items}</manifest>'
        f'<spine><itemref idref="nav"/>{spine}</spine></package>',
        "OEBPS/nav.xhtml": nav or "<html><body><p>Contents</p></body></html>",
        **{f"OEBPS/{name}": content for name, content in chapters.items() if content},
    })  # fmt: skip
