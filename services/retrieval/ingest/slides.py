"""Reads PPTX: a slide is a page, its title a heading, its texts items, its tables rows, its notes what follows."""

from collections.abc import Iterator
from xml.etree.ElementTree import Element

from services.retrieval.errors import ContentTooLarge, DocumentUnreadable
from services.retrieval.ingest.blocks import Extract, first_heading
from services.retrieval.ingest.faults import reading
from services.retrieval.ingest.office import attribute, count, local, relation, relations, said_in
from services.retrieval.ingest.omissions import omissions
from services.retrieval.ingest.outline import Outline
from services.retrieval.ingest.package import Package
from services.retrieval.ingest.tables import Cell, read_rows

MOST_SLIDES = 5000
_SHOW = "ppt/presentation.xml"
_TITLES = ("title", "ctrTitle")
# What stands on each slide alike.
_RUNNING = ("dt", "ftr", "sldNum", "hdr", "sldImg")
_UNTITLED = ("", "PowerPoint Presentation")
_BREAKS = {"br": "\n", "tab": " "}


def read_pptx(data: bytes) -> Extract:
    """Raises DocumentUnreadable, ContentTooLarge."""
    package = Package(data)
    outline = Outline()
    hidden = silent = charts = 0
    with reading("the presentation"):
        slides = list(_slides(package))
        for number, name in enumerate(slides, 1):
            slide = package.xml(name)
            if slide.get("show") == "0":
                hidden += 1
                continue
            outline.page = number
            before = len(outline.blocks)
            _write(slide, outline)
            charts += sum(local(each) == "chart" for each in slide.iter())
            _write_notes(package, name, outline)
            silent += not any(block.text for block in outline.blocks[before:])
    title, labels = said_in(package)
    warnings = omissions(
        (hidden, "not read: {} hidden slide(s)"),
        (charts, "not read: {} chart(s)"),
        (silent, f"without text: {{}} of {len(slides):,} slides"),
    )
    title = first_heading(outline.blocks) if title in _UNTITLED else title
    return Extract(title, outline.blocks, labels, warnings=warnings)


def _slides(package: Package) -> Iterator[str]:
    """The slides' parts, in order."""
    parts = relations(package, _SHOW)
    listed = [each for each in package.xml(_SHOW).iter() if local(each) == "sldId"]
    if len(listed) > MOST_SLIDES:
        raise ContentTooLarge(f"it has more than {MOST_SLIDES} slides")
    for each in listed:
        part = parts.get(relation(each))
        if part is None:
            raise DocumentUnreadable("a slide that the presentation names is not there")
        yield part[1]


def _write(slide: Element, outline: Outline) -> None:
    """The slide's title first, wherever it stands."""
    shapes = [(_role(shape), shape) for shape in slide.iter() if local(shape) in ("sp", "tbl")]
    titles = [" ".join(text for _, text in _paragraphs(shape)) for role, shape in shapes if role in _TITLES]
    if not any(titles):
        outline.end_headings()
    for title in titles:
        outline.heading(1, title)
    for role, shape in shapes:
        if local(shape) == "tbl":
            outline.rows(read_rows(list(_rows(shape))))
        elif role not in _TITLES and role not in _RUNNING:
            _write_texts(list(_paragraphs(shape)), outline)


def _write_texts(paragraphs: list[tuple[int, str]], outline: Outline) -> None:
    """A shape's paragraphs: items where there are several, each within the last one that is less deep."""
    if len(paragraphs) == 1:
        outline.write(paragraphs[0][1])
        return
    lists: list[int] = []
    for level, text in paragraphs:
        while lists and lists[-1] > level:
            outline.close()
            outline.close_list()
            lists.pop()
        if lists and lists[-1] == level:
            outline.close()
        else:
            outline.open_list()
            lists.append(level)
        outline.open_item()
        outline.write(text)
    for _ in lists:
        outline.close()
        outline.close_list()


def _write_notes(package: Package, slide: str, outline: Outline) -> None:
    notes = next((part for kind, part in relations(package, slide).values() if kind == "notesSlide"), "")
    if notes not in package:
        return
    for shape in package.xml(notes).iter():
        if local(shape) == "sp" and _role(shape) not in _RUNNING:
            for _, text in _paragraphs(shape):
                outline.write(text)


def _role(shape: Element) -> str:
    """What a shape is of its slide: "title", "body", "ftr", …; "" for one of its own."""
    holder = next((each for each in shape.iter() if local(each) == "ph"), None)
    return "" if holder is None or local(shape) == "tbl" else holder.get("type", "body")


def _paragraphs(shape: Element) -> Iterator[tuple[int, str]]:
    """The texts that are not empty, each with its level from 0."""
    for paragraph in shape.iter():
        if local(paragraph) == "p" and (text := _text(paragraph)):
            level = next((attribute(each, "lvl") for each in paragraph if local(each) == "pPr"), "")
            yield int(level) if level.isascii() and level.isdigit() else 0, text


def _text(paragraph: Element) -> str:
    parts = (each.text or "" if local(each) == "t" else _BREAKS.get(local(each), "") for each in paragraph.iter())
    return "\n".join(" ".join(line.split()) for line in "".join(parts).split("\n")).strip()


def _rows(table: Element) -> Iterator[list[Cell]]:
    """A table's rows. What a merged cell covers is not there."""
    heads = any(local(each) == "tblPr" and each.get("firstRow") in ("1", "true") for each in table)
    for number, row in enumerate(each for each in table if local(each) == "tr"):
        cells = (cell for cell in row if local(cell) == "tc")
        yield [
            Cell(
                " ".join(" ".join(text.split()) for _, text in _paragraphs(cell)),
                count(cell.get("gridSpan", "")), count(cell.get("rowSpan", "")), heads and number == 0,
            )
            for cell in cells
            if cell.get("hMerge") is None and cell.get("vMerge") is None
        ]  # fmt: skip
