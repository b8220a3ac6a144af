"""Lines of a plain text by their shape: which are items, terms, fields, code."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

UNDERLINE = re.compile(r"(={3,}|-{3,}|~{3,})[ \t]*")
ITEM = re.compile(r"[ \t]*([-*•‣▪◦·+o]|\d{1,3}[.)]|\([a-z\d]{1,3}\))([ \t]+)(?=\S)")
FIELD = re.compile(r"[ \t]*([^\W\d_][^:\n]{0,40}):[ \t]+(?=\S)")
WORDS = re.compile(r"[^\W\d_]{2,}")
ENDS = (".", ":", ";", ",", "!", "?", "。", "：")
# An option and, behind a gap, what it does.
_OPTION = re.compile(r"[ \t]*([-+/]\S.{0,79}?)([ \t]{2,})(?=\S)")
_HANGING = re.compile(r"[ \t]*(\S.{0,39}?)([ \t]{2,})(?=\S)")
_FIELDS_SHARE = 0.7
_PROSE = re.compile(r"[“\"'(]?[^\W\d_a-z].*[.:!?)”\"。]", re.DOTALL)
_LONGEST_TERM = 80
# Lines by which it is judged whether what is below a term is said of it.
_LOOK = 8
_TAB = 8


@dataclass(frozen=True, slots=True)
class Line:
    """A line without the white space around it, and its indent in columns."""

    text: str
    indent: int


Run = list[Line]


def runs(text: str) -> Iterator[Run]:
    """The runs of lines between blank lines."""
    run: Run = []
    for line in text.split("\n"):
        body = line.strip()
        if body:
            lead = line[: len(line) - len(line.lstrip())]
            run.append(Line(body, len(lead.expandtabs(_TAB))))
        elif run:
            yield run
            run = []
    if run:
        yield run


@dataclass(frozen=True, slots=True)
class Term:
    """A term with what is said of it on its line, and the indent of what is said of it."""

    name: str
    said: str
    indent: int


def term_at(run: Run, at: int) -> Term | None:
    """The term that the line at `at` defines, if it does."""
    line = run[at]
    below = run[at + 1] if at + 1 < len(run) else None
    option = _OPTION.match(line.text)
    if option:
        return Term(option[1], line.text[option.end() :], line.indent + option.end())
    hanging = _HANGING.match(line.text)
    if hanging and below and below.indent == line.indent + hanging.end():
        return Term(hanging[1], line.text[hanging.end() :], below.indent)
    deeper = below is not None and below.indent >= line.indent + 2
    if below is None or not deeper or len(line.text) > _LONGEST_TERM or UNDERLINE.fullmatch(line.text):
        return None
    if line.text.startswith("-") or (not line.text.endswith(ENDS[:-2]) and not is_code(run[at + 1 : at + _LOOK])):
        return Term(line.text, "", below.indent)
    return None


def last_term(run: Run, at: int) -> int:
    """The line of the last of several options that are defined together, each on a line of its own."""
    last = at
    while (
        last + 1 < len(run)
        and all(
            line.text.startswith("-") and len(line.text) <= _LONGEST_TERM and line.indent == run[at].indent
            for line in run[last : last + 2]
        )
        and not term_at(run, last)
    ):
        last += 1
    return last


def dedented(lines: Sequence[Line]) -> str:
    """The lines without the indent that all of them have."""
    indent = min(line.indent for line in lines)
    return "\n".join(" " * (line.indent - indent) + line.text for line in lines)


def goes_on(item: Line, line: Line) -> bool:
    """Whether a line belongs to the item above it: it is indented, or goes on in the middle of a sentence."""
    return line.indent > item.indent or line.text[0].islower()


def are_fields(run: Sequence[Line]) -> bool:
    """Whether most lines are a name and its value."""
    return len(run) > 1 and sum(bool(FIELD.match(line.text)) for line in run) >= _FIELDS_SHARE * len(run)


def is_code(lines: Sequence[Line]) -> bool:
    """Whether lines that are indented read as code: they are no sentence."""
    text = " ".join(line.text for line in lines)
    if _PROSE.fullmatch(text):
        return False
    words = sum(map(len, WORDS.findall(text)))
    spaces = text.count(" ")
    return not (spaces >= 5 and words + spaces >= 0.9 * len(text))
