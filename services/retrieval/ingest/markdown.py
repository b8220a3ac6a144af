"""Reads Markdown: CommonMark with tables, and the definition lists of PHP Markdown Extra."""

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence

from markdown_it import MarkdownIt
from markdown_it.token import Token

from services.retrieval.ingest.blocks import Extract, first_heading
from services.retrieval.ingest.front_matter import read_front_matter
from services.retrieval.ingest.html import read_page
from services.retrieval.ingest.markdown_marks import as_read
from services.retrieval.ingest.outline import Outline
from services.retrieval.ingest.tables import Cell, read_rows
from services.retrieval.ingest.text import decode
from services.runtime.language.markdown import plain

# Blocks alone: their text keeps its marks.
_PARSER = MarkdownIt("commonmark").enable("table").disable(["inline", "text_join"])
_IMAGE = re.compile(r"!\[[^\[\]\n]{0,500}\]\([^()\s]{0,1000}\)|!\[[^\[\]\n]{0,500}\]\[[^\[\]\n]{0,200}\]")
_EMPTY_LINK = re.compile(r"\[\s*\](?:\([^()\s]{0,1000}\)|\[[^\[\]\n]{0,200}\])")
# An entry of the page's own table of contents.
_OWN_LINK = re.compile(r"\[[^\[\]\n]{1,200}\]\(#[^()\s]{0,300}\)")
_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_TAG = re.compile(r"</?[a-zA-Z][^<>]{0,1000}>")
_TABLE = re.compile(r"<table\b", re.IGNORECASE)
_TABLE_END = re.compile(r"</table\s*>", re.IGNORECASE)
_DEFINITION = re.compile(r"\n[ \t]*:[ \t]+")


def read_markdown(data: bytes) -> Extract:
    """Raises DocumentUnreadable for what is no text."""
    front = read_front_matter(data)
    outline = Outline()
    text = decode(data[front.length :])
    write_markdown(text.text, outline)
    title = front.title or first_heading(outline.blocks)
    warnings = [f"front matter not read, it is no valid YAML: {front.fault}"] if front.fault else []
    return Extract(title, outline.blocks, front.labels, text.encoding, warnings)


def write_markdown(text: str, outline: Outline) -> None:
    """Write a text's blocks."""
    _Reader(outline, text.split("\n")).read(_PARSER.parse(text))


class _Reader:
    """Goes through the parser's tokens."""

    def __init__(self, outline: Outline, lines: Sequence[str]) -> None:
        self._outline = outline
        self._lines = lines
        self._table_ends = [at for at, line in enumerate(lines) if _TABLE_END.search(line)]
        self._read_to = 0

    def read(self, tokens: Sequence[Token]) -> None:
        """Write their blocks."""
        following = iter(tokens)
        for token in following:
            if token.map and token.map[0] < self._read_to:
                _skip(token, following)
                continue
            if token.type in ("heading_open", "paragraph_open"):
                self._line(token, as_read(next(following).content))
            elif token.type == "table_open":
                self._outline.rows(read_rows(list(_rows(following))))
            else:
                self._other(token)

    def _line(self, token: Token, text: str) -> None:
        if token.type == "heading_open":
            self._heading(int(token.tag[1]), text)
        else:
            self._paragraph(text)

    def _other(self, token: Token) -> None:
        match token.type:
            case "bullet_list_open" | "ordered_list_open":
                self._outline.open_list()
            case "bullet_list_close" | "ordered_list_close":
                self._outline.close_list()
            case "list_item_open":
                self._outline.open_item(f"{token.info}{token.markup} ")
            case "list_item_close":
                self._outline.close()
            case "fence" | "code_block":
                self._outline.code(token.content, token.info.split(" ")[0][:30])
            case "html_block" if _TABLE.search(token.content):
                self._page(token)
            case "html_block":
                self._outline.write(_TAG.sub(" ", as_read(_COMMENT.sub("", token.content))).strip())

    def _page(self, token: Token) -> None:
        """HTML with a table, to the table's end: blank lines in it, which end HTML in Markdown, do not end it."""
        first, last = token.map or (0, 0)
        text = token.content
        if not token.level and not _TABLE_END.search(text):
            following = bisect_left(self._table_ends, last)
            self._read_to = self._table_ends[following] + 1 if following < len(self._table_ends) else last
            text = "\n".join(self._lines[first : self._read_to])
        self._outline.blocks += read_page(text).blocks

    def _heading(self, level: int, text: str) -> None:
        if text:
            self._outline.heading(level, f"{'#' * level} {text}", plain(text))

    def _paragraph(self, text: str) -> None:
        if not _EMPTY_LINK.sub("", _IMAGE.sub("", text)).strip() or _OWN_LINK.fullmatch(text):
            return
        term, *meanings = _DEFINITION.split(text)
        if not meanings:
            self._outline.write(text)
            return
        for meaning in meanings:
            self._outline.open_definition(", ".join(term.split("\n")))
            self._outline.write(meaning)
            self._outline.close()


def _skip(token: Token, following: Iterator[Token]) -> None:
    """Go on behind what a token begins."""
    depth: int = token.nesting
    while depth > 0:
        depth += next(following).nesting


def _rows(tokens: Iterator[Token]) -> Iterator[list[Cell]]:
    """A table's rows, up to its end."""
    row: list[Cell] = []
    for token in tokens:
        match token.type:
            case "tr_open":
                row = []
            case "th_open" | "td_open":
                row.append(Cell(as_read(next(tokens).content), header=token.type == "th_open"))
            case "tr_close":
                yield row
            case "table_close":
                return
