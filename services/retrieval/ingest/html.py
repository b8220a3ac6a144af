"""Reads HTML: the visible text, block by block, with its headings and its title."""

import re
from collections import Counter

from selectolax.lexbor import LexborHTMLParser, LexborNode

from services.retrieval.errors import DocumentUnreadable
from services.retrieval.ingest.split import Heading
from services.retrieval.ingest.text import Extract, decode
from services.retrieval.model import Span

_HIDDEN_TAGS = """
    script style noscript template head svg iframe object
"""
_HIDDEN = frozenset(_HIDDEN_TAGS.split())
_INLINE_TAGS = """
    a abbr b bdi bdo cite code data dfn em font i kbd label mark q s samp small span strong sub sup time tt u var
    wbr
"""
_INLINE = frozenset(_INLINE_TAGS.split())
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_CELLS = frozenset(("td", "th"))
_SPACE = re.compile(r"\s+")
MOST_DEPTH = 8192
# The depths of all tags together.
MOST_LOOKS = 10**9
_TAG = re.compile(r"<(/?)([a-zA-Z][^\s/>]{0,31})")
# Void elements, and those whose end may be left out.
_CLOSED_BY_OTHERS_TAGS = """
    area base br col embed hr img input link meta source track wbr param
    p li dt dd option optgroup tr td th thead tbody tfoot colgroup caption rt rp html head body
"""
_CLOSED_BY_OTHERS = frozenset(_CLOSED_BY_OTHERS_TAGS.split())
_TEXT = "-text"


class _Writer:
    """Collects text: white space folded, a blank line between blocks."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._length = 0
        self._gap = ""

    @property
    def at(self) -> int:
        """Where the next block's text will begin."""
        return self._length + (2 if self._length else 0)

    @property
    def parts(self) -> int:
        """How many parts were written."""
        return len(self._parts)

    def text(self, since: int = 0) -> str:
        """What was written, from the part `since` on."""
        return "".join(self._parts[since:])

    def write(self, raw: str, preformatted: bool) -> list[Span]:
        """Write a run of text; its range, where it is preformatted."""
        body = raw.strip("\n") if preformatted else _SPACE.sub(" ", raw).strip()
        if not body:
            self._gap = self._gap or " "
            return []
        if not self._gap and raw[:1].isspace():
            self._gap = " "
        self._put((self._gap if self._length else "") + body)
        self._gap = " " if raw[-1:].isspace() else ""
        return [(self._length - len(body), self._length)] if preformatted else []

    def write_row(self, row: str) -> Span:
        """Write a row of a table on a line of its own; its range."""
        self.close_line()
        self._put((self._gap if self._length else "") + row)
        self._gap = "\n"
        return self._length - len(row), self._length

    def close_block(self) -> None:
        self._gap = "\n\n"

    def close_line(self) -> None:
        if self._gap != "\n\n":
            self._gap = "\n"

    def _put(self, text: str) -> None:
        self._parts.append(text)
        self._length += len(text)


def read_html(data: bytes) -> Extract:
    """Raises DocumentUnreadable for what is not text, or is nested too deeply."""
    text = decode(data)
    check_depth(text)
    tree = LexborHTMLParser(text)
    writer = _Writer()
    headings: list[Heading] = []
    apart: list[Span] = []
    opened: list[tuple[int, int, int]] = []
    node = tree.body
    top = node.mem_id if node is not None else 0  # comparing nodes would compare all of their text
    preformatted = 0
    while node is not None:
        tag = node.tag or ""
        if tag == _TEXT:
            apart += writer.write(node.text_content or "", preformatted > 0)
        elif tag == "br":
            writer.close_line()
        elif tag == "tr" and not preformatted and (row := _row(node)):
            span = writer.write_row(row)
            apart += [span] if node.css_first("td") is None else []
        elif tag not in _HIDDEN:
            if tag not in _INLINE:
                writer.close_block()
            if tag in _HEADINGS:
                opened.append((writer.at, writer.parts, _HEADINGS[tag]))
            preformatted += tag == "pre"
            if node.child is not None:
                node = node.child
                continue
            preformatted -= _leave(node, writer, opened, headings)
        while node is not None and node.mem_id != top and node.next is None:
            node = node.parent
            preformatted -= _leave(node, writer, opened, headings)
        node = None if node is None or node.mem_id == top else node.next
    return _extract(tree, writer.text(), headings, apart)


def check_depth(text: str) -> None:
    """Raises DocumentUnreadable where elements are nested more than MOST_DEPTH deep, or many tags deep enough: a parser
    looks through all that is open at each tag. Before anything is parsed, by the tags alone: one closes what is open of
    its name."""
    opened: Counter[str] = Counter()
    depth = looks = 0
    for tag in _TAG.finditer(text):
        name = tag[2].lower()
        looks += depth
        if name in _CLOSED_BY_OTHERS:
            continue
        if not tag[1]:
            opened[name] += 1
            depth += 1
            if depth > MOST_DEPTH or looks > MOST_LOOKS:
                raise DocumentUnreadable(f"its elements are nested too deeply: at {tag.start()} they are {depth} deep")
        elif opened[name]:
            opened[name] -= 1
            depth -= 1
    if looks > MOST_LOOKS:
        raise DocumentUnreadable("its elements are nested too deeply: too many tags stand within too many others")


def _extract(tree: LexborHTMLParser, text: str, headings: list[Heading], apart: list[Span]) -> Extract:
    title = tree.css_first("title")
    named = _SPACE.sub(" ", title.text()).strip() if title else ""
    ranges = sorted([*apart, *((heading.start, heading.start + len(heading.title)) for heading in headings)])
    return Extract(named or (headings[0].title if headings else ""), text, headings, ranges)


def _row(row: LexborNode) -> str:
    """A row of a table as Markdown has it, so that its cells stay together; empty for a row that is laid out by it:
    one with blocks in its cells, or with a single cell."""
    cells = [cell for cell in row.iter() if cell.tag in _CELLS]
    if len(cells) < 2 or not all(_is_line(cell) for cell in cells):
        return ""
    texts = (_SPACE.sub(" ", cell.text()).strip().replace("|", "\\|") for cell in cells)
    return f"| {' | '.join(texts)} |"


def _is_line(cell: LexborNode) -> bool:
    return all(node.tag in _INLINE or node is cell or node.tag in _CELLS for node in cell.traverse())


def _leave(
    node: LexborNode | None, writer: _Writer, opened: list[tuple[int, int, int]], headings: list[Heading]
) -> bool:
    """Close an element; True for one with preformatted text."""
    if node is None:
        return False
    tag = node.tag or ""
    if tag in _HEADINGS and opened:
        start, part, level = opened.pop()
        title = _SPACE.sub(" ", writer.text(part)).strip()
        if title:
            headings.append(Heading(start, level, title))
    if tag not in _INLINE:
        writer.close_block()
    return tag == "pre"
