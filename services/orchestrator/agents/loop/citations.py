"""The answer as events: its text as it comes, and a citation wherever it names a source."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from services.llm.generation import Piece
from services.orchestrator.domain.event import Body, Citation, CitationAdded, Span, TextDelta
from services.orchestrator.domain.passage import Passage

AGAIN = "\n\n[The answer was interrupted and begins again.]\n\n"
BREAK = "\n\n"
_MARK = re.compile(r"\[(\d{1,3}(?:\s*[,;]\s*\d{1,3})*)\]")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])|\n+")


class Marks:
    """Finds `[2]` and `[1, 3]` in a text that comes in pieces, and the claim that each stands behind."""

    def __init__(self, passages: Sequence[Passage]) -> None:
        self._passages = passages
        self._claim = Span(0, 0)
        self._at = 0
        self._tail = ""

    def read(self, text: str) -> Iterator[tuple[Citation, Span]]:
        """The citations that the next piece completes, with the claim's range in the text."""
        if not self._passages:
            return
        self._tail += text
        if "]" not in text:
            return
        end = 0
        for mark in _MARK.finditer(self._tail):
            self._claim = self._claim_before(end, mark.start()) or self._claim
            end = mark.end()
            for number in re.findall(r"\d+", mark[1]):
                if 1 <= int(number) <= len(self._passages):
                    passage = self._passages[int(number) - 1]
                    yield passage.cite(Span(0, len(passage.text)), passage.text), self._claim
        self._at += end
        self._tail = self._tail[end:]

    def _claim_before(self, start: int, end: int) -> Span | None:
        """The last sentence between a mark and the next; None where only space is between them."""
        said = self._tail[start:end].rstrip()
        begins = len(said) - len(said.lstrip(" \t\n.,;:!?。，"))
        for sentence_end in _SENTENCE_END.finditer(said, begins):
            if sentence_end.end() < len(said):
                begins = sentence_end.end()
        if begins >= len(said):
            return None
        return Span(self._at + start + begins, self._at + start + len(said))


def quotes(text: str, passages: Sequence[Passage]) -> list[tuple[Citation, Span]]:
    """The sentences of the passages that a text quotes, in its order."""
    found: list[tuple[Citation, Span]] = []
    for passage in passages:
        for span in passage.sentences:
            quote = " ".join(passage.text[span.start : span.end].split())
            at = text.find(quote) if quote else -1
            if at >= 0:
                found.append((passage.cite(span, quote), Span(at, at + len(quote))))
    return sorted(found, key=lambda each: each[1].start)


class CitationWriter:
    """Turns a step's pieces into events. For a step that is done again, `said` is what it had said before: as long as
    the model says the same, nothing is sent twice; where it says something else, the answer says that it begins again.
    """

    def __init__(self, before: str, said: str = "", citations: int = 0, passages: Sequence[Passage] = ()) -> None:
        """`before`: the answer up to this step. `citations`: of what was said."""
        self._lead = BREAK if before and not before[-1].isspace() else ""
        self._shift = len(before)
        self._said = said
        self._length = len(before) + len(said)
        self._skip = citations
        self._parts: list[str] = []
        self._written = 0
        self._marks = Marks(passages)

    @property
    def text(self) -> str:
        """What the model wrote in this step."""
        return "".join(self._parts)

    def said(self, piece: Piece) -> list[Body]:
        """The events of the next piece of a model's."""
        bodies = self.write(piece.text, piece.citation, piece.tokens)
        if not piece.refusal:
            return bodies
        return [replace(body, refusal=True) if isinstance(body, TextDelta) else body for body in bodies]

    def write(self, text: str, citation: Citation | None = None, tokens: int = 0) -> list[Body]:
        """The events of the next piece, which took so many tokens."""
        lead = ""
        if text and not self._parts:
            lead = self._lead
            self._shift += len(lead)
        start = self._written
        self._parts.append(text)
        self._written += len(text)
        bodies: list[Body] = []
        fresh = self._fresh(lead + text) if self._said else lead + text
        if fresh:
            self._length += len(fresh)
            bodies.append(TextDelta(fresh, tokens))
        if citation is not None:
            self._cite(bodies, citation, Span(start + len(text) - len(text.lstrip()), self._written))
        else:
            for source, claim in self._marks.read(text):
                self._cite(bodies, source, claim)
        return bodies

    def _cite(self, bodies: list[Body], citation: Citation, span: Span) -> None:
        if self._skip:
            self._skip -= 1
            return
        bodies.append(CitationAdded(citation, Span(self._shift + span.start, self._shift + span.end)))

    def _fresh(self, text: str) -> str:
        """What of the text has not been said."""
        if self._said.startswith(text):
            self._said = self._said[len(text) :]
            return ""
        if text.startswith(self._said):
            fresh, self._said = text[len(self._said) :], ""
            return fresh
        self._said, self._skip = "", 0
        self._shift = self._length + len(AGAIN)
        return AGAIN + self.text
