"""What a line of Markdown says: what is struck out is left out, raised text and entities are as a reader sees them.

Code, and what is escaped, stays as it is written; so do all other marks.
"""

import html
import re

from services.retrieval.ingest.html_marks import lowered, raised

# Code, or a character that is escaped.
_CODE = re.compile(r"(?<!`)(`+)(?!`).+?(?<!`)\1(?!`)|\\[!-/:-@\[-`{-~]", re.DOTALL)
_ASIDE = re.compile("\0(\\d+)\0")
_STRUCK = re.compile(
    r"([ \t]?)(?:(?<!~)~~(?=[^\s~]).{1,500}?(?<=[^\s~])~~(?!~)|<(del|s|strike)(?:\s[^<>]{0,200})?>.{0,500}?</\2\s*>)",
    re.DOTALL | re.IGNORECASE,
)
_INSERTED = re.compile(r"</?ins(?:\s[^<>]{0,200})?>", re.IGNORECASE)
_SHIFTED = re.compile(r"<(sup|sub)(?:\s[^<>]{0,200})?>([^\n]{0,300}?)</\1\s*>", re.IGNORECASE)
_UNDER = re.compile(r"\s?[/⁄]\s?<sub\b", re.IGNORECASE)
_NOTE = re.compile(r"\]\(#|<a\s[^<>]*#", re.IGNORECASE)
_TAG = re.compile(r"</?[a-zA-Z][^<>]{0,1000}>")
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][\da-fA-F]{1,6}|[a-zA-Z][a-zA-Z\d]{1,31});")
_MARKS = ("~~", "<", "&")


def as_read(text: str) -> str:
    """The text of a paragraph, a heading or a cell."""
    if not any(mark in text for mark in _MARKS):
        return text
    asides: list[str] = []

    def aside(code: re.Match[str]) -> str:
        asides.append(code[0])
        return f"\0{len(asides) - 1}\0"

    text = _STRUCK.sub(_gap, _CODE.sub(aside, text.replace("\0", "")))
    text = _ENTITY.sub(lambda entity: html.unescape(entity[0]), _INSERTED.sub("", _level(text)))
    return _ASIDE.sub(lambda place: asides[int(place[1])], text).strip()


def _gap(struck: re.Match[str]) -> str:
    """The space before what is struck out, where none is behind it."""
    return struck[1] if struck.string[struck.end() : struck.end() + 1].strip() else ""


def _level(text: str) -> str:
    """Without what is raised or lowered."""
    parts: list[str] = []
    at = 0
    for mark in _SHIFTED.finditer(text):
        parts.append(text[at : mark.start()])
        at = mark.end()
        if _NOTE.search(mark[2]):
            continue
        inner, before = _TAG.sub("", mark[2]).strip(), "".join(parts)[-20:]
        is_raised = mark[1].lower() == "sup"
        parts.append(raised(inner, before, bool(_UNDER.match(text, at))) if is_raised else lowered(inner, before))
    return "".join([*parts, text[at:]])
