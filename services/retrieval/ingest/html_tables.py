"""HTML's tables: which of them hold data, and their rows."""

import re
from collections.abc import Iterator

from selectolax.lexbor import LexborNode

from services.retrieval.ingest.html_marks import NEAR, SHIFTED, STRUCK, is_note, shifted
from services.retrieval.ingest.outline import Row
from services.retrieval.ingest.tables import Cell, read_rows

INLINE_TAGS = """
    a abbr acronym b bdi bdo big br cite code data del dfn em font i img input ins kbd label mark q s samp small span
    strike strong sub sup time tt u var wbr
"""
INLINE = frozenset(INLINE_TAGS.split())
HIDDEN_TAGS = """
    script style noscript template head svg iframe object
"""
HIDDEN = frozenset(HIDDEN_TAGS.split())
_CELLS = frozenset(("td", "th"))
_PARTS = frozenset(("thead", "tbody", "tfoot"))
# What a page is laid out with, in the cells of a table that has no headers.
_LAID_OUT = "table, h1, h2, h3, h4, h5, h6, ul, ol, dl, pre, form"
_SPACE = re.compile(r"\s+")
_TEXT = "-text"
LONGEST_CELL = 1000
MOST_SPANNED = 1000


def data_rows(table: LexborNode) -> list[Row] | None:
    """The rows of a table; None for one that a page is laid out by."""
    if table.attributes.get("role") in ("presentation", "none") or _holds_tables(table):
        return None
    rows = [list(_cells(row)) for row in _rows(table)]
    if max(map(len, rows), default=0) < 2:
        return None
    if table.css_first("th") is None and not all(_is_plain(cell) for row in rows for cell in row):
        return None
    return list(read_rows([[_cell(cell) for cell in row] for row in rows]))


def caption_of(table: LexborNode) -> str:
    """A table's caption, "" for none."""
    caption = table.css_first("caption")
    return text_of(caption) if caption else ""


def text_of(node: LexborNode) -> str:
    """All of an element's text in one line, a space between its blocks and a semicolon between its items."""
    parts: list[str] = []
    ahead = [node]
    while ahead:
        each = ahead.pop()
        tag = each.tag or ""
        if tag == _TEXT:
            parts.append(each.text_content or "")
        elif tag in SHIFTED:
            parts.append(shifted(each, "".join(parts[-NEAR:])))
        elif tag in HIDDEN or tag in STRUCK or (tag == "a" and is_note(each)):
            continue
        elif tag == "li" and any(part.strip() for part in parts):
            parts.append("; ")
        elif tag == "br" or tag not in INLINE:
            parts.append(" ")
        if tag not in SHIFTED:
            ahead += reversed(list(each.iter(include_text=True)))
    return _SPACE.sub(" ", "".join(parts)).replace(" ;", ";").strip()


def _holds_tables(table: LexborNode) -> bool:
    return any(each.tag == "table" and each.mem_id != table.mem_id for each in table.traverse())


def _rows(table: LexborNode) -> Iterator[LexborNode]:
    for part in table.iter():
        if part.tag == "tr":
            yield part
        elif part.tag in _PARTS:
            yield from (row for row in part.iter() if row.tag == "tr")


def _cells(row: LexborNode) -> Iterator[LexborNode]:
    return (cell for cell in row.iter() if cell.tag in _CELLS)


def _cell(node: LexborNode) -> Cell:
    heads = node.tag == "th" and node.attributes.get("scope") not in ("row", "rowgroup")
    within = node.parent is not None and node.parent.parent is not None and node.parent.parent.tag == "thead"
    return Cell(text_of(node), _spanned(node, "colspan"), _spanned(node, "rowspan"), heads or within)


def _spanned(node: LexborNode, attribute: str) -> int:
    value = node.attributes.get(attribute) or "1"
    return min(int(value), MOST_SPANNED) if value.isascii() and value.isdigit() and value != "0" else 1


def _is_plain(cell: LexborNode) -> bool:
    """Whether a cell holds a value: one paragraph at most, and nothing that a page is laid out with."""
    if cell.css_first(_LAID_OUT) is not None or len(cell.text()) > LONGEST_CELL:
        return False
    return sum(each.tag not in INLINE and each.mem_id != cell.mem_id for each in cell.traverse()) <= 1
