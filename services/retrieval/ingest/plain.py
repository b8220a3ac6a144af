"""Reads plain text by its shape: headings, lists, option lists as in man pages, fields, code that is indented."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from services.retrieval.ingest.blocks import Extract, Kind
from services.retrieval.ingest.outline import Outline
from services.retrieval.ingest.shapes import (
    ENDS,
    FIELD,
    ITEM,
    UNDERLINE,
    WORDS,
    Line,
    Run,
    Term,
    are_fields,
    dedented,
    goes_on,
    is_code,
    last_term,
    runs,
    term_at,
)
from services.retrieval.ingest.text import decode

# `RSYNC(1)      User Commands      RSYNC(1)`: the first line of a man page that was rendered.
_MAN_PAGE = re.compile(r"\s*([\w.:+-]{1,60}\(\d\w{0,4}\))\s.{0,200}\1\s*")
_NUMBERED = re.compile(r"(\d{1,2}(?:\.\d{1,2}){0,4})\.?[ \t]{1,4}[^\W\d_].*")
# What man pages name the section of how a command is called, in the languages that Debian has them in.
_SYNOPSES = frozenset(("SYNOPSIS", "ÜBERSICHT", "SYNTAX", "摘要", "总览", "概述"))
_LONGEST_HEADING = 80
_CODE_INDENT = 4


def read_plain(data: bytes) -> Extract:
    """Raises DocumentUnreadable for what is no text."""
    outline = Outline()
    text = decode(data)
    title = write_plain(text.text, outline)
    return Extract(title, outline.blocks, encoding=text.encoding)


def write_plain(text: str, outline: Outline) -> str:
    """Write a text's blocks. Returns its title, "" for none: a man page's name, or its first underlined heading."""
    reader = _Plain(outline)
    first = len(outline.blocks)
    for number, run in enumerate(runs(text)):
        header = _MAN_PAGE.fullmatch(run[0].text[:300]) if not number and len(run) == 1 else None
        if header:
            reader.man_page = header[1]
        elif not (reader.man_page and _MAN_PAGE.search(run[0].text[:300])):
            reader.read(run)
    reader.close()
    if reader.man_page:
        return reader.man_page
    headings = (block for block in outline.blocks[first:] if block.kind is Kind.HEADING)
    return next((heading.title for heading in headings if heading.level == 1), "")


@dataclass(slots=True)
class _Frame:
    """A list, an item or a definition that is open; what is within it is indented at least that far."""

    kind: str
    indent: int


class _Plain:
    """Reads one run after the other."""

    def __init__(self, outline: Outline) -> None:
        self.man_page = ""
        self._outline = outline
        self._frames: list[_Frame] = []
        self._body: int | None = None
        self._synopsis = False

    def read(self, run: Run) -> None:
        """Write a run's blocks."""
        at = 0
        while at < len(run) and (took := self._heading(run[at:])):
            at += took
        if self._synopsis and at < len(run):
            self._outline.code(dedented(run[at:]))
            return
        if at < len(run) and are_fields(run[at:]):
            self._close_to(run[at].indent, False)
            self._fields(run[at:])
            return
        while at < len(run):
            at = self._block(run, at)

    def close(self) -> None:
        """End all that is open."""
        while self._frames:
            self._pop()

    def _heading(self, run: Run) -> int:
        """Write the heading that the run begins with, if it does; the lines that it took."""
        first = run[0]
        level, took = 0, 1
        if len(first.text) > _LONGEST_HEADING:
            return 0
        if len(run) > 1 and (under := UNDERLINE.fullmatch(run[1].text)) and not UNDERLINE.fullmatch(first.text):
            level, took = "=-~".index(under[1][0]) + 1, 2
        elif self.man_page:
            deeper = len(run) > 1 and run[1].indent > first.indent
            if first.indent == 0 and (deeper or len(run) == 1):
                level = 1
            elif 0 < first.indent <= 3 and (deeper or len(run) == 1) and not first.text.startswith("-"):
                level = 2
        elif len(run) == 1 and first.indent == 0 and not first.text.endswith(ENDS):
            numbered = _NUMBERED.fullmatch(first.text)
            if numbered:
                level = numbered[1].count(".") + 1
            elif first.text.isupper() and WORDS.search(first.text):
                level = 1
        if not level:
            return 0
        self.close()
        self._synopsis = bool(self.man_page) and first.text.upper() in _SYNOPSES
        self._outline.heading(level, first.text)
        self._body = None
        return took

    def _fields(self, run: Run) -> None:
        """Lines of `name: value`, and those that go on from the one before."""
        fields: list[tuple[str, list[str]]] = []
        for line in run:
            field = FIELD.match(line.text)
            if field:
                fields.append((field[1], [line.text[field.end() :]]))
            elif fields:
                fields[-1][1].append(line.text)
            else:
                self._outline.write(line.text)
        for name, lines in fields:
            self._outline.open_definition(name)
            self._outline.write("\n".join(lines))
            self._outline.close()

    def _block(self, run: Run, at: int) -> int:
        """Write the block that begins at this line; the line behind it."""
        line = run[at]
        item = ITEM.match(line.text)
        self._close_to(line.indent, item is not None)
        if item:
            return self._item(run, at, item)
        last = last_term(run, at)
        term = term_at(run, last)
        if term:
            return self._definition(run, at, last, term)
        end = at + 1
        while end < len(run) and not ITEM.match(run[end].text) and not term_at(run, end):
            end += 1
        self._paragraph(run[at:end])
        return end

    def _item(self, run: Run, at: int, item: re.Match[str]) -> int:
        line = run[at]
        if not self._frames or self._frames[-1].kind != "list":
            self._push("list", line.indent)
            self._outline.open_list()
        self._push("item", line.indent + 1)
        self._outline.open_item(f"{item[1]} " if item[1][-1] in ".)" else "- ")
        end = at + 1
        while end < len(run) and not ITEM.match(run[end].text) and goes_on(line, run[end]):
            end += 1
        self._outline.write("\n".join([line.text[item.end() :], *(each.text for each in run[at + 1 : end])]))
        return end

    def _definition(self, run: Run, first: int, at: int, term: Term) -> int:
        names = [*(line.text for line in run[first:at]), term.name]
        self._push("definition", term.indent)
        end = at + 1
        lines = [term.said] if term.said else []
        least = term.indent if not term.said else run[at].indent + 1
        while end < len(run) and run[end].indent >= least and not ITEM.match(run[end].text):
            if lines and term_at(run, end):
                break
            lines.append(run[end].text)
            end += 1
        self._outline.open_definition(", ".join(names))
        self._outline.write("\n".join(lines))
        return end

    def _paragraph(self, lines: Sequence[Line]) -> None:
        indent = min(line.indent for line in lines)
        base = self._frames[-1].indent if self._frames else self._body
        if base is not None and indent >= base + _CODE_INDENT and is_code(lines):
            self._outline.code(dedented(lines))
            return
        if not self._frames:
            self._body = indent
        self._outline.write("\n".join(line.text for line in lines))

    def _push(self, kind: str, indent: int) -> None:
        self._frames.append(_Frame(kind, indent))

    def _pop(self) -> None:
        if self._frames.pop().kind == "list":
            self._outline.close_list()
        else:
            self._outline.close()

    def _close_to(self, indent: int, item: bool) -> None:
        """End what a line with this indent is not within."""
        while self._frames:
            top = self._frames[-1]
            if top.indent <= indent and (item or top.kind != "list"):
                return
            self._pop()
