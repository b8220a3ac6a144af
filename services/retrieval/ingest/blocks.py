"""A document as its blocks: what a reader makes of it, and what passages are packed from.

A block's text is written so that each of its sentences can be read by itself, or with the lead that it names: a table's
row as `header: value; header: value`, a definition as `term: text`, an item with the items above it as its lead.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum

from services.retrieval.model import Span

SOFT_HYPHEN = "\xad"


class Kind(Enum):
    """What a block is; the value is the word used outside."""

    HEADING = "heading"
    TEXT = "text"
    LIST = "list"
    TABLE = "table"
    DEFINITION = "definition"
    CODE = "code"


@dataclass(frozen=True, slots=True)
class Block:
    """A heading (`level` 1 is the outermost, `title` its text without marks; an empty one ends those above it), a
    paragraph, an item, a row, a definition or code.

    `lead` is what its first sentence is to be read after, `later` the same for those behind it; "" for nothing. A
    `whole` block is one sentence; one that is not `quoted` has none. An `introduced` one is read together with the last
    sentence of the block before it. A `tight` one follows on the next line, others after a blank one. `page` counts
    from 1; 0 is unknown.
    """

    kind: Kind
    text: str
    level: int = 0
    title: str = ""
    lead: str = ""
    later: str = ""
    whole: bool = False
    quoted: bool = True
    introduced: bool = False
    tight: bool = False
    page: int = 0


@dataclass(frozen=True, slots=True)
class Extract:
    """What a reader returns: the title ("" for none) and the blocks in order; labels that the document gives itself;
    the encoding of its text ("" where the format says it); what was left out, for people."""

    title: str
    blocks: Sequence[Block]
    labels: Mapping[str, str] = field(default_factory=dict)
    encoding: str = ""
    warnings: Sequence[str] = ()


def first_heading(blocks: Sequence[Block]) -> str:
    """The title of the first heading; "" where there is none."""
    return next((block.title for block in blocks if block.kind is Kind.HEADING and block.text), "")


def lowered(blocks: Sequence[Block], by: int) -> list[Block]:
    """The blocks with their headings so many levels further down."""
    return [replace(block, level=block.level + by) if block.kind is Kind.HEADING else block for block in blocks]


def without_soft_hyphens(blocks: Sequence[Block]) -> list[Block]:
    """The blocks without marks of where a word may be broken, by which nobody would find it."""
    return [each for block in blocks if (each := _whole_words(block)).text or not block.text]


def _whole_words(block: Block) -> Block:
    if not any(SOFT_HYPHEN in text for text in (block.text, block.title, block.lead, block.later)):
        return block
    text, title, lead, later = (
        each.replace(SOFT_HYPHEN, "") for each in (block.text, block.title, block.lead, block.later)
    )
    return replace(block, text=text, title=title, lead=lead, later=later)


def lay_out(blocks: Sequence[Block]) -> tuple[str, list[Span]]:
    """The document's text, and the range of each block in it."""
    parts: list[str] = []
    spans: list[Span] = []
    at = 0
    for block in blocks:
        gap = "" if not parts or not block.text else "\n" if block.tight else "\n\n"
        parts += (gap, block.text)
        at += len(gap) + len(block.text)
        spans.append((at - len(block.text), at))
    return "".join(parts), spans
