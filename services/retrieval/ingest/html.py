"""Reads HTML: the visible text, block by block, without what only leads around in a site."""

import re
from dataclasses import dataclass, field, replace

from selectolax.lexbor import LexborHTMLParser, LexborNode

from services.retrieval.ingest.blocks import Extract, Kind, first_heading
from services.retrieval.ingest.html_depth import check_depth
from services.retrieval.ingest.html_marks import NEAR, SHIFTED, STRUCK, is_note, shifted
from services.retrieval.ingest.html_tables import HIDDEN, INLINE, caption_of, data_rows, text_of
from services.retrieval.ingest.outline import Outline
from services.retrieval.ingest.plain import write_plain
from services.retrieval.ingest.text import decode
from services.runtime.language.encodings import codec_of

_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_LISTS = frozenset(("ul", "ol", "menu", "dir"))
# What sites and the tools that write documentation name their navigation.
_NAVIGATION_NAMES = """
    navheader navfooter navbar nav-bar navigation sphinxsidebar related breadcrumb breadcrumbs headerlink skip-link
    skiplink toc toctree-wrapper table-of-contents cookie-banner site-header site-footer
"""
_NAVIGATION = frozenset(_NAVIGATION_NAMES.split())
# A list with so many links and hardly anything else leads around.
_LINKS, _LINK_SHARE = 5, 0.9
# Preformatted text of that length that has paragraphs is a document of its own, and no code.
_LONG_PREFORMATTED = 2000
# Browsers look for it in the first 1024 bytes; licences stand before it, too.
_DECLARED_WITHIN = 4096
_DECLARED = re.compile(
    rb"""<meta[^<>]{0,200}?charset\s*=\s*["']?\s*([\w:.-]{1,40})"""
    rb"""|<\?xml[^<>]{0,100}?encoding\s*=\s*["']([\w:.-]{1,40})""",
    re.IGNORECASE,
)
_SPACE = re.compile(r"\s+")
_TEXT = "-text"
_MOST_DIGITS = 4


def read_html(data: bytes) -> Extract:
    """Raises DocumentUnreadable for what is not text, or is nested too deeply; EncodingUnknown."""
    text = decode(data, declared_in(data))
    return replace(read_page(text.text), encoding=text.encoding)


def declared_in(data: bytes) -> str:
    """The encoding that a page declares at its start; "" for none that is known."""
    declared = _DECLARED.search(data[:_DECLARED_WITHIN])
    return codec_of((declared[1] or declared[2]).decode("ascii", "replace")) if declared else ""


def read_page(text: str) -> Extract:
    """The blocks of a page. Raises DocumentUnreadable where it is nested too deeply."""
    check_depth(text)
    tree = LexborHTMLParser(text)
    page = _read(tree, navigation=False)
    if not any(block.kind is not Kind.HEADING for block in page.outline.blocks):
        page = _read(tree, navigation=True)
    title = tree.css_first("title")
    named = _SPACE.sub(" ", title.text()).strip() if title else ""
    return Extract(named or first_heading(page.outline.blocks), page.outline.blocks)


def line_of(text: str) -> str:
    """A page's text in one line. Raises DocumentUnreadable where it is nested too deeply."""
    check_depth(text)
    body = LexborHTMLParser(text).body
    return text_of(body) if body is not None else ""


def _read(tree: LexborHTMLParser, navigation: bool) -> "_Page":
    """Walk through all elements. Not by recursion: they may be nested deeper than Python goes."""
    page = _Page(navigation)
    node = tree.body
    top = node.mem_id if node is not None else 0  # comparing nodes would compare all of their text
    while node is not None:
        if page.enter(node) and node.child is not None:
            node = node.child
            continue
        page.leave(node)
        while node is not None and node.mem_id != top and node.next is None:
            node = node.parent
            if node is not None:
                page.leave(node)
        node = None if node is None or node.mem_id == top else node.next
    page.flush()
    return page


@dataclass(slots=True)
class _Numbers:
    """A list: the number of its next item, None where it has marks."""

    following: int | None


@dataclass(slots=True)
class _Terms:
    """A definition list: the terms that wait for what they mean, and those that were defined last."""

    waiting: list[str] = field(default_factory=list)
    defined: str = ""


class _Page:
    """What was read of a page so far."""

    def __init__(self, navigation: bool) -> None:
        self.outline = Outline()
        self._navigation = navigation
        self._parts: list[str] = []
        self._gap = ""
        self._entered: list[int] = []
        self._lists: list[_Numbers] = []
        self._terms: list[_Terms] = []
        self._within_line = 0

    def enter(self, node: LexborNode) -> bool:
        """Begin an element or take a text; whether what is within it is to be read."""
        tag = node.tag or ""
        if tag == _TEXT:
            self._text(node.text_content or "")
            return False
        if tag == "br":
            self._gap = "\n"
            return False
        if tag in HIDDEN or tag in STRUCK or (not self._navigation and self._is_navigation(tag, node)):
            return False
        if tag in SHIFTED:
            self._text(shifted(node, "" if self._gap else "".join(self._parts[-NEAR:])))
            return False
        if tag in INLINE:
            return not (tag == "a" and is_note(node))
        self.flush()
        if tag == "pre":
            self._preformatted(node.text() or "")
            return False
        if tag == "table" and not self._within_line and (rows := data_rows(node)) is not None:
            self.outline.write(caption_of(node))
            self.outline.rows(rows)
            return False
        self._open(tag, node)
        return True

    def leave(self, node: LexborNode) -> None:
        """End an element."""
        tag = node.tag or ""
        if tag in INLINE or tag == _TEXT or tag in HIDDEN or tag == "br":
            return
        if not self._entered or self._entered[-1] != node.mem_id:
            if not self._within_line:
                self.flush()
            return
        self._entered.pop()
        self._close(tag)

    def flush(self) -> None:
        """The text so far is a block."""
        if self._within_line:
            self._gap = self._gap or " "
        else:
            self.outline.write(self._taken())

    def _open(self, tag: str, node: LexborNode) -> None:
        """Begin an element that has a place of its own in the outline; any other needs no end."""
        if self._within_line:
            return
        if tag in _HEADINGS or tag == "dt":
            self._within_line = node.mem_id
        elif tag in _LISTS:
            self._lists.append(_Numbers(_number(node, "start", 1) if tag == "ol" else None))
            self.outline.open_list()
        elif tag == "li" and self._lists:
            numbers = self._lists[-1]
            if numbers.following is not None:
                numbers.following = _number(node, "value", numbers.following)
            self.outline.open_item("- " if numbers.following is None else f"{numbers.following}. ")
            numbers.following = None if numbers.following is None else numbers.following + 1
        elif tag == "dl":
            self._terms.append(_Terms())
        elif tag == "dd" and self._terms:
            terms = self._terms[-1]
            terms.defined, terms.waiting = ", ".join(terms.waiting) or terms.defined, []
            self.outline.open_definition(terms.defined)
        else:
            return
        self._entered.append(node.mem_id)

    def _close(self, tag: str) -> None:
        if tag in _HEADINGS or tag == "dt":
            self._within_line = 0
            line = _SPACE.sub(" ", self._taken()).strip()
            if tag != "dt":
                self.outline.heading(_HEADINGS[tag], line)
            elif line and self._terms:
                self._terms[-1].waiting.append(line)
            else:
                self.outline.write(line)
            return
        self.flush()
        if tag in _LISTS:
            self._lists.pop()
            self.outline.close_list()
        elif tag == "dl":
            self.outline.write(", ".join(self._terms.pop().waiting))
        else:
            self.outline.close()

    def _text(self, raw: str) -> None:
        """A run of text, its white space folded."""
        body = _SPACE.sub(" ", raw).strip()
        if not body:
            self._gap = self._gap or (" " if raw else "")
            return
        if not self._gap and raw[:1].isspace():
            self._gap = " "
        self._parts += (self._gap if self._parts else "", body)
        self._gap = " " if raw[-1:].isspace() else ""

    def _taken(self) -> str:
        text = "".join(self._parts)
        self._parts, self._gap = [], ""
        return text

    def _preformatted(self, text: str) -> None:
        if self._within_line:
            self._text(text)
        elif len(text) > _LONG_PREFORMATTED and "\n\n" in text.strip():
            write_plain(text, self.outline)
        else:
            self.outline.code(text)

    def _is_navigation(self, tag: str, node: LexborNode) -> bool:
        if tag == "nav":
            return True
        if tag in INLINE and tag != "a":
            return False
        attributes = node.attributes
        names = f"{attributes.get('class') or ''} {attributes.get('id') or ''}".lower().split()
        if "hidden" in attributes or attributes.get("role") == "navigation" or not _NAVIGATION.isdisjoint(names):
            return tag != "body"
        return tag in _LISTS and not self._lists and _leads_around(node)


def _number(node: LexborNode, attribute: str, otherwise: int) -> int:
    """A list's or an item's number, of at most four digits."""
    value = node.attributes.get(attribute) or ""
    return int(value) if value.isascii() and value.isdigit() and len(value) <= _MOST_DIGITS else otherwise


def _leads_around(node: LexborNode) -> bool:
    """Whether a list has links and hardly anything else."""
    links = node.css("a[href]")
    if len(links) < _LINKS:
        return False
    linked = sum(len(link.text().strip()) for link in links)
    return linked >= _LINK_SHARE * len(_SPACE.sub(" ", node.text()))
