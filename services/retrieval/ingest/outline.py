"""Blocks in the making: a reader says what begins and ends, and each text gets the place that it is read in."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

from services.retrieval.ingest.blocks import Block, Kind
from services.retrieval.language.sentences import sentences

LONGEST_LABEL = 100
LONGEST_LEAD = 160
# Items that are but a few words each are read together: an enumeration.
LONGEST_LISTED = 60
LONGEST_LIST = 300
LONGEST_CODE = 600
# Code that is so short belongs to the sentence before it.
LONGEST_SHOWN = 200
LONGEST_TITLE = 300
MOST_DEPTH = 8
_COLONS = (":", "：")
_STOPS = (".", "。", "!", "?", "！", "？")
_LABEL_END = " \t:：.。"
# A line that leads to a page, as in a table of contents.
_LEADERS = re.compile(r"(?<!\.)(?<!\.[ \t])(?:\.[ \t]?){4,}+[ \t]*+(?:\d+|[ivxlc]+)?[ \t]*$")


class Row(NamedTuple):
    """A table's row as it is read, and what those of its sentences are read after that are not the first."""

    text: str
    key: str


@dataclass(slots=True)
class _Open:
    """An item, a definition or a list that has begun. `label` is what is read before what is within it."""

    kind: Kind
    prefix: str = ""
    label: str = ""
    fresh: bool = True
    is_list: bool = False


class Outline:
    """The blocks of one document. What is open when a text is written is what the text belongs to."""

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self.page = 0
        self._is_headed = False
        self._open: list[_Open] = []
        self._lists: list[int] = []

    def heading(self, level: int, text: str, title: str = "") -> None:
        """A heading, and its text without marks where that differs."""
        if text:
            self._is_headed = True
            self._add(Block(Kind.HEADING, text, level=level, title=(title or text)[:LONGEST_TITLE], quoted=False))

    def end_headings(self) -> None:
        """What follows is below no heading."""
        if self._is_headed:
            self._is_headed = False
            self._add(Block(Kind.HEADING, "", level=1, quoted=False))

    def write(self, text: str, quoted: bool = True) -> None:
        """A paragraph, or the next part of what is open."""
        if not text:
            return
        innermost = self._open[-1] if self._open else None
        whole = text.endswith(_STOPS)
        above = self._lead(each for each in self._open[:-1] if not (whole and each.is_list))
        if innermost is None or innermost.is_list:
            lead = self._lead(self._open)
            quoted = quoted and not is_contents(text)
            self._add(Block(Kind.TEXT, text, lead=lead, later=lead, quoted=quoted))
            return
        if not innermost.fresh:
            lead = joined([above, innermost.label])
            self._add(Block(innermost.kind, text, lead=lead, later=lead, quoted=quoted, tight=True))
            return
        innermost.fresh = False
        if innermost.kind is Kind.DEFINITION:
            later = self._lead(self._open)
            self._add(
                Block(Kind.DEFINITION, f"{innermost.prefix}: {text}", lead=above, later=later, quoted=quoted,
                      tight=self._follows(Kind.DEFINITION))
            )  # fmt: skip
            return
        innermost.label = label_of(text)
        text = f"{innermost.prefix}{text}"
        tight = self._follows(Kind.LIST) and len(self.blocks) > self._lists[0] if self._lists else False
        self._add(Block(Kind.LIST, text, lead=above, later=above, quoted=quoted, tight=tight))

    def open_list(self) -> None:
        """A list begins. What introduces it is read before its items."""
        self._begin()
        before = self.blocks[-1] if self.blocks else None
        intro = label_of(before.text) if before and before.kind is Kind.TEXT and before.text.endswith(_COLONS) else ""
        self._open.append(_Open(Kind.LIST, label=intro, is_list=True))
        self._lists.append(len(self.blocks))

    def close_list(self) -> None:
        """Its items are read together where all of them are short."""
        self._open.pop()
        first = self._lists.pop()
        items = self.blocks[first:]
        lines = [item.text for item in items]
        short = all(
            item.kind is Kind.LIST and item.quoted and not item.whole and len(item.text) <= LONGEST_LISTED
            and not item.text.endswith(_STOPS)
            for item in items
        )  # fmt: skip
        if len(items) < 2 or not short or len({item.lead for item in items}) > 1 or sum(map(len, lines)) > LONGEST_LIST:
            return
        before = self.blocks[first - 1] if first else None
        introduced = before is not None and before.kind is Kind.TEXT and before.text.endswith(_COLONS)
        del self.blocks[first:]
        self._add(replace(items[0], text="\n".join(lines), later="", whole=True, introduced=introduced))

    def open_item(self, mark: str = "- ") -> None:
        """An item begins, which `mark` stands before."""
        depth = sum(open_.is_list for open_ in self._open) - 1
        self._open.append(_Open(Kind.LIST, f"{'  ' * max(0, min(depth, MOST_DEPTH))}{mark}"))

    def open_definition(self, term: str) -> None:
        """What a term means begins."""
        self._open.append(_Open(Kind.DEFINITION, term.rstrip(_LABEL_END) or term, label_of(term)))

    def close(self) -> None:
        """The item or the definition ends; a term of which nothing was said stays as text."""
        closed = self._open.pop()
        if closed.fresh and closed.kind is Kind.DEFINITION:
            self.write(closed.prefix)

    def code(self, text: str, language: str = "") -> None:
        """Code, as it is, between fences. It is read after the sentence that introduces it."""
        text = text.strip("\n").rstrip()
        if not text.strip():
            return
        fence = "```"
        while fence in text:
            fence += "`"
        self._begin()
        before = self.blocks[-1] if self.blocks else None
        introduced = (
            before is not None and before.quoted and before.kind not in (Kind.CODE, Kind.TABLE)
            and (before.text.endswith(_COLONS) or len(text) <= LONGEST_SHOWN)
        )  # fmt: skip
        body = f"{fence}{language}\n{text}\n{fence}"
        whole = len(body) <= LONGEST_CODE
        lead = self._lead(self._open)
        self._add(Block(Kind.CODE, body, lead=lead, whole=whole, quoted=whole, introduced=introduced and whole))

    def rows(self, rows: Iterable[Row]) -> None:
        """A table."""
        self._begin()
        lead = self._lead(self._open)
        for number, (text, key) in enumerate(rows):
            if text:
                later = joined([lead, label_of(key)])
                self._add(Block(Kind.TABLE, text, lead=lead, later=later, tight=number > 0))

    def _begin(self) -> None:
        """Name the term of a definition that does not begin with a text."""
        innermost = self._open[-1] if self._open else None
        if innermost and innermost.fresh and innermost.kind is Kind.DEFINITION:
            innermost.fresh = False
            self._add(Block(Kind.DEFINITION, f"{innermost.prefix}:", quoted=False))

    def _follows(self, kind: Kind) -> bool:
        return bool(self.blocks) and self.blocks[-1].kind is kind

    def _lead(self, open_: Iterable[_Open]) -> str:
        return joined([each.label for each in open_])

    def _add(self, block: Block) -> None:
        self.blocks.append(replace(block, page=self.page) if self.page else block)


def joined(labels: Iterable[str]) -> str:
    """Labels, outermost first, as one lead: the inner ones where all together are too long."""
    lead = ""
    for label in reversed([label for label in labels if label]):
        if lead and len(label) + len(lead) + 2 > LONGEST_LEAD:
            break
        lead = f"{label}: {lead}" if lead else label
    return lead


def label_of(text: str) -> str:
    """What stands for a text before what belongs to it: the text itself, or its last sentence where that leads on; ""
    where it is too long to be read again and again."""
    text = " ".join(text.split())
    if text.endswith(_COLONS):
        start, end = sentences(text)[-1]
        text = text[start:end]
    text = text.rstrip(_LABEL_END)
    return text if len(text) <= LONGEST_LABEL else ""


def is_contents(text: str) -> bool:
    """Whether most lines of a text lead to a page, as a table of contents does."""
    lines = [line for line in text.splitlines() if line.strip()]
    return 2 * sum(map(leads_to_page, lines)) >= len(lines) > 0


def leads_to_page(line: str) -> bool:
    """Whether a line leads to a page by dots."""
    return _LEADERS.search(line) is not None
