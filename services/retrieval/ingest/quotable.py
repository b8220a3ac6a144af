"""What of a block can be quoted: its sentences, none longer than a reader would take for one."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from services.retrieval.ingest.blocks import Block, Kind
from services.retrieval.ingest.outline import leads_to_page
from services.retrieval.language.sentences import sentences, trimmed
from services.retrieval.model import Span

LONGEST = 400
# A definition up to this length is quoted as a whole.
LONGEST_DEFINITION = 300
# Where a sentence that is too long is cut, best first.
_BREAKS = ("\n", ";；", ",，、", " \t\u3000")
_ITEM = re.compile(r"[ \t]*(?:[-*•+]|\d{1,4}[.)])[ \t]+(?=\S)")
# A sentence that is but a link with a word or two before it, and says nothing by itself.
_POINTER = re.compile(r"(?:[^\W\d_]+ ){0,2}\[[^\[\]\n]{1,200}\]\([^()\s]{1,500}\)[.:](?=\s|\Z)\s*")
_WORD = re.compile(r"\w")


class Quotable(NamedTuple):
    """A range that can be quoted, after its lead ("" for none)."""

    start: int
    end: int
    lead: str


def quotable(block: Block, longest: int = LONGEST) -> list[Quotable]:
    """The sentences of a block, as ranges of its text in order, none longer than `longest`; none of what nobody would
    quote."""
    if not block.quoted or (block.kind is Kind.CODE and len(block.text) > longest):
        return []
    if _is_whole(block, longest):
        start, end = _unmarked(block, (0, len(block.text)))
        return [Quotable(start, end, block.lead)]
    found: list[Quotable] = []
    for sentence in sentences(block.text):
        for start, end in _limited(block.text, _unmarked(block, sentence), min(longest, LONGEST)):
            if start < end and _WORD.search(block.text, start, end) and not leads_to_page(block.text[start:end]):
                found.append(Quotable(start, end, block.later if found else block.lead))
    return found


def _is_whole(block: Block, longest: int) -> bool:
    most = {Kind.TABLE: LONGEST, Kind.DEFINITION: LONGEST_DEFINITION}.get(block.kind, 0)
    return len(block.text) <= (longest if block.whole else min(most, longest))


def _unmarked(block: Block, span: Span) -> Span:
    """Without the mark of a list's item, or a mere reference, before it."""
    start, end = span
    if block.kind is Kind.LIST and (mark := _ITEM.match(block.text, start, end)):
        start = mark.end()
    if block.kind is not Kind.TABLE and (pointer := _POINTER.match(block.text, start, end)):
        start = pointer.end()
    return start, end


def _limited(text: str, span: Span, longest: int) -> Iterator[Span]:
    """The sentence, in parts where it is too long, without the white space around them."""
    start, end = span
    while end - start > longest:
        stop = cut(text, start, start + longest)
        yield trimmed(text, start, stop)
        start, end = trimmed(text, stop, end)
    yield start, end


def cut(text: str, start: int, end: int) -> int:
    """Where to end a part that begins at `start` and may reach `end`: behind a mark in its latter half, if any."""
    for marks in _BREAKS:
        at = max(text.rfind(mark, start + (end - start) // 2, end) for mark in marks)
        if at != -1:
            return at + 1
    return end
