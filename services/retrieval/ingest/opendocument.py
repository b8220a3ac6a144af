"""Reads ODT: headings, paragraphs, lists, tables. Notes stand behind their paragraph; what was deleted is left out."""

from collections.abc import Iterator
from xml.etree.ElementTree import Element

from services.retrieval.errors import DocumentUnreadable
from services.retrieval.ingest.blocks import Extract, first_heading
from services.retrieval.ingest.faults import reading
from services.retrieval.ingest.office import META, attribute, count, local, said_in
from services.retrieval.ingest.outline import Outline
from services.retrieval.ingest.package import Package
from services.retrieval.ingest.tables import MOST_COLUMNS, Cell, read_rows

MOST_SPACES = 100
_CONTENT, _MANIFEST = "content.xml", "META-INF/manifest.xml"
_LEFT_OUT = frozenset((
    "tracked-changes", "annotation", "table-of-content", "alphabetical-index", "bibliography", "sequence-decls",
    "forms", "illustration-index", "table-index", "object-index", "user-index",
))  # fmt: skip
_LINES = ("p", "h")


def read_odt(data: bytes) -> Extract:
    """Raises DocumentUnreadable, ContentTooLarge."""
    package = Package(data)
    if _MANIFEST in package and any(local(each) == "encryption-data" for each in package.xml(_MANIFEST).iter()):
        raise DocumentUnreadable("it needs a password")
    outline = Outline()
    with reading("the document"):
        body = next((each for each in package.xml(_CONTENT).iter() if local(each) == "body"), None)
        if body is None:
            raise DocumentUnreadable("it has no body")
        _write(body, outline)
    title, labels = said_in(package, META)
    return Extract(title or first_heading(outline.blocks), outline.blocks, labels)


def _write(parent: Element, outline: Outline) -> None:
    for element in parent:
        match local(element):
            case name if name in _LEFT_OUT:
                continue
            case "h":
                level = attribute(element, "outline-level")
                outline.heading(int(level) if level.isascii() and level.isdigit() else 1, _line(element))
            case "p":
                outline.write(_line(element))
                for note in _notes(element):
                    outline.write(note)
            case "list":
                _write_list(element, outline)
            case "table":
                outline.rows(read_rows(list(_rows(element))))
            case _:
                _write(element, outline)


def _write_list(element: Element, outline: Outline) -> None:
    outline.open_list()
    for item in element:
        if local(item) in ("list-item", "list-header"):
            outline.open_item()
            _write(item, outline)
            outline.close()
    outline.close_list()


def _line(element: Element) -> str:
    """A paragraph's text in one line, without its notes."""
    return " ".join("".join(_pieces(element)).split())


def _pieces(element: Element) -> Iterator[str]:
    yield element.text or ""
    for each in element:
        match local(each):
            case "s":
                spaces = attribute(each, "c")
                yield " " * (min(int(spaces), MOST_SPACES) if spaces.isascii() and spaces.isdigit() else 1)
            case "tab" | "line-break":
                yield " "
            case "note" | "annotation":
                pass
            case name:
                yield from _pieces(each)
                if name in _LINES:
                    yield " "
        yield each.tail or ""


def _notes(element: Element) -> Iterator[str]:
    for note in element.iter():
        if local(note) == "note-body":
            yield _line(note)


def _rows(table: Element, header: bool = False) -> Iterator[list[Cell]]:
    """A table's rows; one that is repeated is read once."""
    for element in table:
        match local(element):
            case "table-header-rows":
                yield from _rows(element, header=True)
            case "table-rows" | "table-row-group":
                yield from _rows(element, header)
            case "table-row":
                yield _cells(element, header)


def _cells(row: Element, header: bool) -> list[Cell]:
    """A row's cells; those that others cover are not there."""
    cells = [
        Cell(_line(cell), _count(cell, "columns-spanned"), _count(cell, "rows-spanned"), header)
        for cell in row
        if local(cell) == "table-cell"
        for _ in range(min(_count(cell, "columns-repeated"), MOST_COLUMNS))
    ]
    return cells[:MOST_COLUMNS]


def _count(element: Element, name: str) -> int:
    return count(attribute(element, f"number-{name}"))
