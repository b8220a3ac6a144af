"""Reads plain text by its shape: headings, lists, option lists as in man pages, fields, code that is indented."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from services.retrieval.ingest.blocks import Extract, Kind
from services.retrieval.ingest.outline import Outline
from services.retrieval.ingest.text import decode

# `RSYNC(1)      User Commands      RSYNC(1)`: the first line of a man page that was rendered.
_MAN_PAGE = re.compile(r"\s*([\w.:+-]{1,60}\(\d\w{0,4}\))\s.{0,200}\1\s*")
_UNDERLINE = re.compile(r"(={3,}|-{3,}|~{3,})[ \t]*")
_NUMBERED = re.compile(r"(\d{1,2}(?:\.\d{1,2}){0,4})\.?[ \t]{1,4}[^\W\d_].*")
_ITEM = re.compile(r"[ \t]*([-*•‣▪◦·+o]|\d{1,3}[.)]|\([a-z\d]{1,3}\))([ \t]+)(?=\S)")
# An option and, behind a gap, what it does.
_OPTION = re.compile(r"[ \t]*([-+/]\S.{0,79}?)([ \t]{2,})(?=\S)")
_HANGING = re.compile(r"[ \t]*(\S.{0,39}?)([ \t]{2,})(?=\S)")
_FIELD = re.compile(r"[ \t]*([^\W\d_][^:\n]{0,40}):[ \t]+(?=\S)")
_FIELDS_SHARE = 0.7
_PROSE = re.compile(r"[“\"'(]?[^\W\d_a-z].*[.:!?)”\"。]", re.DOTALL)
_WORDS = re.compile(r"[^\W\d_]{2,}")
_ENDS = (".", ":", ";", ",", "!", "?", "。", "：")
# What man pages name the section of how a command is called, in the languages that Debian has them in.
_SYNOPSES = frozenset(("SYNOPSIS", "ÜBERSICHT", "SYNTAX", "摘要", "总览", "概述"))
_LONGEST_HEADING = 80
_LONGEST_TERM = 80
_CODE_INDENT = 4
# Lines by which it is judged whether what is below a term is said of it.
_LOOK = 8
_TAB = 8


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
    for number, run in enumerate(_runs(text)):
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


@dataclass(frozen=True, slots=True)
class _Line:
    """A line without the white space around it, and its indent in columns."""

    text: str
    indent: int


_Run = list[_Line]


def _runs(text: str) -> Iterator[_Run]:
    """The runs of lines between blank lines."""
    run: _Run = []
    for line in text.split("\n"):
        body = line.strip()
        if body:
            lead = line[: len(line) - len(line.lstrip())]
            run.append(_Line(body, len(lead.expandtabs(_TAB))))
        elif run:
            yield run
            run = []
    if run:
        yield run


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

    def read(self, run: _Run) -> None:
        """Write a run's blocks."""
        at = 0
        while at < len(run) and (took := self._heading(run[at:])):
            at += took
        if self._synopsis and at < len(run):
            self._outline.code(_dedented(run[at:]))
            return
        if at < len(run) and _are_fields(run[at:]):
            self._close_to(run[at].indent, False)
            self._fields(run[at:])
            return
        while at < len(run):
            at = self._block(run, at)

    def close(self) -> None:
        """End all that is open."""
        while self._frames:
            self._pop()

    def _heading(self, run: _Run) -> int:
        """Write the heading that the run begins with, if it does; the lines that it took."""
        first = run[0]
        level, took = 0, 1
        if len(first.text) > _LONGEST_HEADING:
            return 0
        if len(run) > 1 and (under := _UNDERLINE.fullmatch(run[1].text)) and not _UNDERLINE.fullmatch(first.text):
            level, took = "=-~".index(under[1][0]) + 1, 2
        elif self.man_page:
            deeper = len(run) > 1 and run[1].indent > first.indent
            if first.indent == 0 and (deeper or len(run) == 1):
                level = 1
            elif 0 < first.indent <= 3 and (deeper or len(run) == 1) and not first.text.startswith("-"):
                level = 2
        elif len(run) == 1 and first.indent == 0 and not first.text.endswith(_ENDS):
            numbered = _NUMBERED.fullmatch(first.text)
            if numbered:
                level = numbered[1].count(".") + 1
            elif first.text.isupper() and _WORDS.search(first.text):
                level = 1
        if not level:
            return 0
        self.close()
        self._synopsis = bool(self.man_page) and first.text.upper() in _SYNOPSES
        self._outline.heading(level, first.text)
        self._body = None
        return took

    def _fields(self, run: _Run) -> None:
        """Lines of `name: value`, and those that go on from the one before."""
        fields: list[tuple[str, list[str]]] = []
        for line in run:
            field = _FIELD.match(line.text)
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

    def _block(self, run: _Run, at: int) -> int:
        """Write the block that begins at this line; the line behind it."""
        line = run[at]
        item = _ITEM.match(line.text)
        self._close_to(line.indent, item is not None)
        if item:
            return self._item(run, at, item)
        term = self._term(run, at)
        if term:
            return self._definition(run, at, *term)
        end = at + 1
        while end < len(run) and not _ITEM.match(run[end].text) and not self._term(run, end):
            end += 1
        self._paragraph(run[at:end])
        return end

    def _item(self, run: _Run, at: int, item: re.Match[str]) -> int:
        line = run[at]
        if not self._frames or self._frames[-1].kind != "list":
            self._push("list", line.indent)
            self._outline.open_list()
        self._push("item", line.indent + 1)
        self._outline.open_item(f"{item[1]} " if item[1][-1] in ".)" else "- ")
        end = at + 1
        while end < len(run) and not _ITEM.match(run[end].text) and _goes_on(line, run[end]):
            end += 1
        self._outline.write("\n".join([line.text[item.end() :], *(each.text for each in run[at + 1 : end])]))
        return end

    def _term(self, run: _Run, at: int) -> tuple[str, str, int] | None:
        """A term, what is said of it on its line, and the indent of that: where the line at `at` defines something."""
        line = run[at]
        below = run[at + 1] if at + 1 < len(run) else None
        option = _OPTION.match(line.text)
        if option:
            return option[1], line.text[option.end() :], line.indent + option.end()
        hanging = _HANGING.match(line.text)
        if hanging and below and below.indent == line.indent + hanging.end():
            return hanging[1], line.text[hanging.end() :], below.indent
        deeper = below is not None and below.indent >= line.indent + 2
        if below is None or not deeper or len(line.text) > _LONGEST_TERM or _UNDERLINE.fullmatch(line.text):
            return None
        if line.text.startswith("-") or (not line.text.endswith(_ENDS[:-2]) and not _is_code(run[at + 1 : at + _LOOK])):
            return line.text, "", below.indent
        return None

    def _definition(self, run: _Run, at: int, term: str, said: str, indent: int) -> int:
        terms = [term]
        self._push("definition", indent)
        end = at + 1
        lines = [said] if said else []
        least = indent if not said else run[at].indent + 1
        while end < len(run) and run[end].indent >= least and not _ITEM.match(run[end].text):
            if lines and self._term(run, end):
                break
            lines.append(run[end].text)
            end += 1
        self._outline.open_definition(", ".join(terms))
        self._outline.write("\n".join(lines))
        return end

    def _paragraph(self, lines: Sequence[_Line]) -> None:
        indent = min(line.indent for line in lines)
        base = self._frames[-1].indent if self._frames else self._body
        if base is not None and indent >= base + _CODE_INDENT and _is_code(lines):
            self._outline.code(_dedented(lines))
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


def _dedented(lines: Sequence[_Line]) -> str:
    indent = min(line.indent for line in lines)
    return "\n".join(" " * (line.indent - indent) + line.text for line in lines)


def _goes_on(item: _Line, line: _Line) -> bool:
    """Whether a line belongs to the item above it: it is indented, or goes on in the middle of a sentence."""
    return line.indent > item.indent or line.text[0].islower()


def _are_fields(run: Sequence[_Line]) -> bool:
    return len(run) > 1 and sum(bool(_FIELD.match(line.text)) for line in run) >= _FIELDS_SHARE * len(run)


def _is_code(lines: Sequence[_Line]) -> bool:
    """Whether lines that are indented read as code: they are no sentence."""
    text = " ".join(line.text for line in lines)
    if _PROSE.fullmatch(text):
        return False
    words = sum(map(len, _WORDS.findall(text)))
    spaces = text.count(" ")
    return not (spaces >= 5 and words + spaces >= 0.9 * len(text))
