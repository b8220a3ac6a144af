"""Blocks packed into passages: cut at headings, then between blocks, then between sentences, then wherever it must be.

A passage is exactly its span of the document's text. What is in none is white space, headings with nothing below them
and tables of contents.
"""

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from services.retrieval.ingest.blocks import Block, Kind, lay_out
from services.retrieval.ingest.outline import is_contents
from services.retrieval.ingest.quotable import LONGEST, Quotable, cut, quotable
from services.retrieval.language.sentences import trimmed
from services.retrieval.model import Span

MAX_SENTENCES = 64
# The longest sentence that is made of two: what introduces a list or code, and that.
LONGEST_INTRODUCED = 800


@dataclass(frozen=True, slots=True)
class TextPiece:
    """A passage to be: its span in the text, the headings above it, its sentences' spans within it (none where nothing
    in it can be quoted) with what each is read after ("" for nothing), its page (0: unknown), the kind of most of
    it."""

    span: Span
    headings: tuple[str, ...]
    sentences: tuple[Span, ...]
    leads: tuple[str, ...] = ()
    page: int = 0
    kind: str = Kind.TEXT.value


@dataclass(frozen=True, slots=True)
class _Atom:
    """A block, or a part of one that is too long: its span in the text and what of that can be quoted."""

    block: Block
    span: Span
    quotable: Sequence[Quotable]


def split(blocks: Sequence[Block], max_chars: int) -> tuple[str, list[TextPiece]]:
    """The document's text, and its passages in order, none longer than `max_chars`."""
    text, spans = lay_out(blocks)
    pieces = [
        _piece(atoms, path)
        for path, placed in _sections(list(zip(blocks, spans, strict=True)))
        for atoms in _pack(_atoms(placed, max_chars, text), max_chars)
        if not all(atom.block.kind is Kind.HEADING for atom in atoms)
    ]
    return text, pieces or _headings_alone(blocks, spans, max_chars, text)


def _headings_alone(blocks: Sequence[Block], spans: Sequence[Span], max_chars: int, text: str) -> list[TextPiece]:
    """What there is of a document that has nothing but headings."""
    placed = [
        (replace(block, quoted=True, kind=Kind.TEXT), span)
        for block, span in zip(blocks, spans, strict=True)
        if block.text
    ]
    return [_piece(atoms, ()) for atoms in _pack(_atoms(placed, max_chars, text), max_chars)]


_Placed = list[tuple[Block, Span]]


def _sections(placed: _Placed) -> Iterator[tuple[tuple[str, ...], _Placed]]:
    """The blocks from heading to heading with the path to them. A heading with nothing below it goes along with what is
    deeper; where that is nothing either, it is left out."""
    path: list[Block] = []
    section: _Placed = []
    for block, span in placed:
        if block.kind is Kind.HEADING:
            bare = all(each.kind is Kind.HEADING for each, _ in section)
            if not bare:
                yield tuple(above.title for above in path), section
                section = []
            while section and section[-1][0].level >= block.level:
                section.pop()
            path = [above for above in path if above.level < block.level]
            if not block.text:
                continue
            path.append(block)
        elif block.kind is Kind.TEXT and not block.quoted and is_contents(block.text):
            yield tuple(above.title for above in path), section
            section = []
            continue
        section.append((block, span))
    yield tuple(above.title for above in path), section


def _atoms(placed: _Placed, max_chars: int, text: str) -> Iterator[_Atom]:
    """The blocks, long ones in parts of about equal length, cut between sentences where that is possible."""
    for block, (start, end) in placed:
        if block.kind is Kind.HEADING and end - start > max_chars:
            continue
        sentences = quotable(block, max_chars)
        if end - start <= max_chars and len(sentences) <= MAX_SENTENCES:
            yield _Atom(block, (start, end), sentences)
        else:
            yield from _parts(block, start, sentences, max_chars)


def _parts(block: Block, start: int, sentences: Sequence[Quotable], max_chars: int) -> Iterator[_Atom]:
    """A long block in parts. What cannot be quoted is cut too, into runs of lines."""
    length = len(block.text)
    count = max(-(-length // max_chars), -(-len(sentences) // MAX_SENTENCES))
    target = length / count
    at = 0
    within: list[Quotable] = []
    ahead = deque(sentences)
    for first, last in _runs(block.text, sentences, max_chars):
        too_long = last - at > max_chars or len(within) >= MAX_SENTENCES
        if first > at and (too_long or first - at >= target):
            yield from _part(block, start, at, first, within)
            at, within = first, []
        while ahead and ahead[0].start < last:
            within.append(ahead.popleft())
    yield from _part(block, start, at, length, within)


def _part(block: Block, start: int, first: int, last: int, within: Sequence[Quotable]) -> Iterator[_Atom]:
    first, last = trimmed(block.text, first, last)
    if first < last:
        own = [Quotable(each.start - first, each.end - first, each.lead) for each in within]
        yield _Atom(block, (start + first, start + last), own)


def _runs(text: str, sentences: Sequence[Quotable], max_chars: int) -> Iterator[Span]:
    """The text in runs that are not cut: the sentences, and what is between them in parts that fit."""
    borders = {0, len(text), *(each.start for each in sentences), *(each.end for each in sentences)}
    for first, last in pairwise(sorted(borders)):
        while last - first > max_chars:
            stop = cut(text, first, first + min(max_chars, LONGEST))
            yield first, stop
            first = stop
        yield first, last


def _pack(atoms: Iterable[_Atom], max_chars: int) -> Iterator[list[_Atom]]:
    """Neighbours of one page together as far as they fit. What introduces the next block goes along with it."""
    open_: list[_Atom] = []
    count = 0
    for atom in atoms:
        if open_ and atom.block.page != open_[0].block.page:
            yield open_
            open_, count = [], 0
        fits = bool(open_) and atom.span[1] - open_[0].span[0] <= max_chars
        if open_ and not (fits and count + len(atom.quotable) <= MAX_SENTENCES):
            kept = _introduction(open_, atom, max_chars)
            if len(open_) > len(kept):
                yield open_[: len(open_) - len(kept)]
            open_ = kept
            count = sum(len(each.quotable) for each in open_)
        open_.append(atom)
        count += len(atom.quotable)
    if open_:
        yield open_


def _introduction(open_: Sequence[_Atom], atom: _Atom, max_chars: int) -> list[_Atom]:
    """What of the passage before goes along with the next block: a short text that introduces it."""
    last = open_[-1]
    fits = atom.span[1] - last.span[0] <= max_chars and last.span[1] - last.span[0] <= LONGEST
    return [last] if atom.block.introduced and fits and last.block.kind is Kind.TEXT else []


def _piece(atoms: Sequence[_Atom], path: tuple[str, ...]) -> TextPiece:
    start, end = atoms[0].span[0], atoms[-1].span[1]
    sentences = list(_sentences(atoms, start))
    kinds = Counter[Kind]()
    for atom in atoms:
        if atom.block.kind is not Kind.HEADING:
            kinds[atom.block.kind] += atom.span[1] - atom.span[0]
    return TextPiece(
        span=(start, end),
        headings=path,
        sentences=tuple((each.start, each.end) for each in sentences),
        leads=tuple(each.lead for each in sentences) if any(each.lead for each in sentences) else (),
        page=atoms[0].block.page,
        kind=kinds.most_common(1)[0][0].value,
    )


def _sentences(atoms: Sequence[_Atom], start: int) -> Iterator[Quotable]:
    """The sentences of a passage, as ranges of it; one that introduces what follows is read together with it."""
    last: Quotable | None = None
    for atom in atoms:
        shift = atom.span[0] - start
        own = [Quotable(each.start + shift, each.end + shift, each.lead) for each in atom.quotable]
        if last and own and atom.block.introduced and own[0].end - last.start <= LONGEST_INTRODUCED:
            own[0] = Quotable(last.start, own[0].end, last.lead)
            last = None
        if last:
            yield last
        yield from own[:-1]
        last = own[-1] if own else None
    if last:
        yield last
