"""A text cut into passages: at headings, then paragraphs, then sentences, then wherever it must be.

Every character but white space is in exactly one passage, and a passage is exactly its span of the text.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter

from services.retrieval.language.sentences import sentences
from services.retrieval.model import Span

MAX_SENTENCES = 64
_ITEM = re.compile(r"(?:[-*•]|\d{1,3}[.)])[ \t]+(?=\S)")


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading that begins at `start` in the text; `level` 1 is the outermost."""

    start: int
    level: int
    title: str


@dataclass(frozen=True, slots=True)
class TextPiece:
    """A passage to be: its span in the text, the headings above it, its sentences' spans within it (none where it is
    code alone)."""

    span: Span
    headings: tuple[str, ...]
    sentences: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class _Section:
    span: Span
    headings: tuple[str, ...]


def split(text: str, headings: Sequence[Heading], max_chars: int, apart: Sequence[Span] = ()) -> list[TextPiece]:
    """The passages of `text` in order, none longer than `max_chars`. `headings` are in order of their start; what is
    `apart` (ranges in order) belongs to passages but to no sentence."""
    return [
        TextPiece(span, section.headings, tuple(_sentences(text, span, apart)[:MAX_SENTENCES]))
        for section in _sections(text, headings)
        for span in _pack(_paragraphs(text, section.span), text, max_chars)
    ]


def _sections(text: str, headings: Sequence[Heading]) -> Iterator[_Section]:
    """The text from heading to heading. A heading with nothing below it goes along with what follows it."""
    path: list[Heading] = []
    start = 0
    for place, heading in enumerate(headings):
        if place == 0 and text[: heading.start].strip():
            yield _Section((0, heading.start), ())
            start = heading.start
        path = [above for above in path if above.level < heading.level] + [heading]
        end = headings[place + 1].start if place + 1 < len(headings) else len(text)
        deeper = place + 1 < len(headings) and headings[place + 1].level > heading.level
        if deeper and text[heading.start : end].strip().strip("#=- \n") == heading.title:
            continue
        yield _Section((start if place else min(start, heading.start), end), tuple(above.title for above in path))
        start = end
    if not headings:
        yield _Section((0, len(text)), ())


def _sentences(text: str, span: Span, apart: Sequence[Span]) -> list[Span]:
    """The sentences of a passage, as ranges of it, around what is apart."""
    start, end = span
    found: list[Span] = []
    at = start
    for low, high in [*apart[bisect_right(apart, start, key=itemgetter(1)) :], (end, end)]:
        stop = max(min(low, end), at)
        found += [_unmarked(text, at + first, at + last, start) for first, last in sentences(text[at:stop])]
        if low >= end:
            break
        at = min(high, end)
    return found


def _unmarked(text: str, first: int, last: int, start: int) -> Span:
    """A sentence's range from `start` on, without the mark of a list's item before it."""
    mark = _ITEM.match(text, first, last)
    return ((mark.end() if mark else first) - start, last - start)


def _paragraphs(text: str, span: Span) -> Iterator[Span]:
    """The runs between blank lines, without the white space around them."""
    at, end = span
    while at < end:
        stop = _blank_line(text, at, end)
        trimmed = _trim(text, at, stop)
        if trimmed:
            yield trimmed
        at = stop + 1


def _blank_line(text: str, start: int, end: int) -> int:
    """Where the first blank line from `start` on begins; `end` where there is none."""
    at = text.find("\n", start, end)
    while at != -1:
        following = text.find("\n", at + 1, end)
        if not text[at + 1 : following if following != -1 else end].strip():
            return at
        at = following
    return end


def _pack(paragraphs: Iterable[Span], text: str, limit: int) -> Iterator[Span]:
    """Neighbouring paragraphs together as far as they fit; a longer one by its sentences."""
    open_span: Span | None = None
    for paragraph in paragraphs:
        if open_span and paragraph[1] - open_span[0] <= limit:
            open_span = (open_span[0], paragraph[1])
            continue
        if open_span:
            yield open_span
            open_span = None
        if paragraph[1] - paragraph[0] <= limit:
            open_span = paragraph
        else:
            yield from _pack_sentences(text, paragraph, limit)
    if open_span:
        yield open_span


def _pack_sentences(text: str, paragraph: Span, limit: int) -> Iterator[Span]:
    """A long paragraph in parts of about equal length, cut between sentences where that is possible."""
    start, end = paragraph
    parts = -(-(end - start) // limit)
    target = (end - start) / parts
    at: Span | None = None
    for sentence in sentences(text[start:end]):
        for span in _cut(text, (start + sentence[0], start + sentence[1]), limit):
            if at and (span[1] - at[0] > limit or at[1] - at[0] >= target):
                yield at
                at = None
            at = (at[0], span[1]) if at else span
    if at:
        yield at


def _cut(text: str, span: Span, limit: int) -> Iterator[Span]:
    """A sentence that is too long, cut at white space, or in the middle of a word that is too long itself."""
    start, end = span
    while end - start > limit:
        space = max(text.rfind(mark, start + limit // 2, start + limit) for mark in " \n\t，、,;；")
        stop = space + 1 if space != -1 else start + limit
        trimmed = _trim(text, start, stop)
        if trimmed:
            yield trimmed
        start = stop
    trimmed = _trim(text, start, end)
    if trimmed:
        yield trimmed


def _trim(text: str, start: int, end: int) -> Span | None:
    body = text[start:end]
    left = len(body) - len(body.lstrip())
    right = len(body.rstrip())
    return (start + left, start + right) if left < right else None
