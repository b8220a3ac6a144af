"""Reads plain text and Markdown. The extracted text is the original, with its line ends made one kind."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from services.retrieval.errors import DocumentUnreadable
from services.retrieval.ingest.split import Heading
from services.retrieval.model import Span
from services.runtime.language.encodings import encoding_of

_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
_CONTROL_SHARE = 0.02
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_ATX = re.compile(r" {0,3}(#{1,6})[ \t]+(.*?)[ \t]*#*[ \t]*$")
_UNDERLINE = re.compile(r" {0,3}(=+|-{2,})[ \t]*$")
_RULE = re.compile(r"[ \t|:=*_-]*[-=*_]{2,}[ \t|:=*_-]*")
# A sentence that is but a link with a word or two before it, and says nothing by itself.
_POINTER = re.compile(
    r"(?:\A|(?<=[.!?:][ \n])|(?<=\n\n))(?:[^\W\d_]+ ){0,2}\[[^\[\]\n]{1,200}\]\([^()\s]{1,500}\)[.:](?=\s|\Z)"
)
_LONGEST_HEADING = 300


@dataclass(frozen=True, slots=True)
class Extract:
    """What a reader found: the title ("" for none), the text, the headings in it.

    `apart`: ranges that nobody would quote as a sentence, in order: headings, code, rules, the heads of tables, mere
    references.
    """

    title: str
    text: str
    headings: list[Heading]
    apart: list[Span] = field(default_factory=list)


def decode(data: bytes) -> str:
    """The text, by its byte order mark or else as UTF-8. Raises DocumentUnreadable for anything else."""
    encoding, mark = encoding_of(data)
    try:
        text = data[mark:].decode(encoding)
    except UnicodeDecodeError as error:
        raise DocumentUnreadable(f"not valid {encoding.upper()} at byte {error.start}; is it a binary file?") from error
    sample = text[:65536]
    if "\x00" in text or len(_CONTROL.findall(sample)) > _CONTROL_SHARE * len(sample):
        raise DocumentUnreadable("it holds control characters as binary files do")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_plain(data: bytes) -> Extract:
    return Extract("", decode(data), [])


def read_markdown(data: bytes) -> Extract:
    text = decode(data)
    headings, apart = _markdown_blocks(text)
    apart = _merged([*apart, *_references(text)])
    return Extract(headings[0].title if headings else "", text, headings, apart)


def _references(text: str) -> Iterator[Span]:
    """The sentences that only refer; those in a table belong to their row."""
    for match in _POINTER.finditer(text):
        line = text.rfind("\n", 0, match.start()) + 1
        if not text[line : match.start()].lstrip(" \t").startswith("|"):
            yield match.span()


def _merged(spans: list[Span]) -> list[Span]:
    """In order, without what is within another one."""
    merged: list[Span] = []
    for start, end in sorted(spans):
        if not merged or start >= merged[-1][1]:
            merged.append((start, end))
        elif end > merged[-1][1]:
            merged[-1] = (merged[-1][0], end)
    return merged


def _markdown_blocks(text: str) -> tuple[list[Heading], list[Span]]:
    """ATX and underlined headings outside of code fences; and the ranges of headings, fenced code and rules."""
    headings: list[Heading] = []
    apart: list[Span] = []
    fence, fence_start = "", 0
    before, before_start, at = "", 0, 0
    for line in text.split("\n"):
        end = at + len(line)
        opening = _FENCE.match(line[:_LONGEST_HEADING])
        if opening and not fence:
            fence, fence_start = opening[1], at
        elif opening and opening[1].startswith(fence):
            fence = ""
            apart.append((fence_start, end))
        elif not fence and len(line) <= _LONGEST_HEADING:
            found = _heading(line, at, before, before_start)
            headings.extend(found)
            if found or _RULE.fullmatch(line):
                # Over the rule of a table are the names of its columns.
                heads = not found and "|" in line and "|" in before
                apart.append((found[0].start if found else before_start if heads else at, end))
        before, before_start = line, at
        at = end + 1
    if fence:
        apart.append((fence_start, len(text)))
    return headings, apart


def _heading(line: str, start: int, before: str, before_start: int) -> list[Heading]:
    atx = _ATX.match(line)
    if atx:
        return [Heading(start, len(atx[1]), atx[2])] if atx[2] else []
    underline = _UNDERLINE.match(line)
    title = before.strip()
    if underline and title and len(before) <= _LONGEST_HEADING and not _is_block(title):
        return [Heading(before_start, 1 if underline[1].startswith("=") else 2, title)]
    return []


def _is_block(line: str) -> bool:
    """Whether the line is something else than a paragraph, so that what is under it is no underline."""
    return line.startswith(("#", "-", "*", ">", "|", "=", "`", "~")) or ":" in line
