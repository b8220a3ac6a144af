"""Reads plain text and Markdown. The extracted text is the original, with its line ends made one kind."""

import codecs
import re
from dataclasses import dataclass

from services.retrieval.errors import DocumentUnreadable
from services.retrieval.ingest.split import Heading

_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
_CONTROL_SHARE = 0.02
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_ATX = re.compile(r" {0,3}(#{1,6})[ \t]+(.*?)[ \t]*#*[ \t]*$")
_UNDERLINE = re.compile(r" {0,3}(=+|-{2,})[ \t]*$")
_LONGEST_HEADING = 300


@dataclass(frozen=True, slots=True)
class Extract:
    """What a reader found: the title ("" for none), the text, the headings in it."""

    title: str
    text: str
    headings: list[Heading]


def decode(data: bytes) -> str:
    """The text, by its byte order mark or else as UTF-8. Raises DocumentUnreadable for anything else."""
    encoding, body = "utf-8", data
    for mark, named in _BOMS:
        if data.startswith(mark):
            encoding, body = named, data[len(mark) :]
            break
    try:
        text = body.decode(encoding)
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
    headings = _markdown_headings(text)
    return Extract(headings[0].title if headings else "", text, headings)


def _markdown_headings(text: str) -> list[Heading]:
    """ATX and underlined headings outside of code fences."""
    found: list[Heading] = []
    fence = ""
    before, before_start, at = "", 0, 0
    for line in text.split("\n"):
        if len(line) <= _LONGEST_HEADING:
            opening = _FENCE.match(line)
            if opening and not fence:
                fence = opening[1]
            elif opening and opening[1].startswith(fence):
                fence = ""
            elif not fence:
                found.extend(_heading(line, at, before, before_start))
        before, before_start = line, at
        at += len(line) + 1
    return found


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
