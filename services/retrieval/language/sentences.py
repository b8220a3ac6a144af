"""Sentences of a text, as ranges of its characters."""

import re

from services.retrieval.model import Span

_ABBREVIATED = """
    mr mrs ms dr prof rev fr sr jr st mt ft gen col lt capt sgt cmdr maj gov sen rep hon pres vs cf eg ie aka viz no
    nos vol vols pp fig figs eq ed eds al approx ca est inc ltd co corp dept univ jan feb mar apr jun jul aug sep
    sept oct nov dec
"""
ABBREVIATIONS = frozenset(_ABBREVIATED.split())
_END = re.compile(
    r"""(?P<wide>[。！？；｡]++[”’"'」』）》】]*+)          # ideographic stops need no space behind them
      | (?<![.!?…])(?P<stop>[.!?…]++)[”’"'»)\]]*+(?:\[\d{1,4}\])*+(?=\s)    # Latin ones do; footnote marks go along
      | (?P<row>^[ \t]*+\|[^\n]*\|[ \t]*+$)     # a table's row is one sentence, whatever its cells hold
      | (?P<break>\n[ \t]*+(?=\n|[-*•#|]\s|\d{1,4}[.)]\s))     # a blank line, or a line that opens an item or a heading
    """,
    re.VERBOSE | re.MULTILINE,
)
_WORD_BEFORE = re.compile(r"(?:^|[\s(\[“\"'‘])([^\W\d_]+(?:\.[^\W\d_]+)*)$")
_NUMBER = re.compile(r"\s*\d{1,3}")  # of a list's item
_LOOK = 24  # characters beside a stop that decide whether it ends a sentence


def sentences(text: str) -> list[Span]:
    """The sentences in order; without the white space around them; nothing but white space is left out."""
    spans: list[Span] = []
    start = 0
    for match in _END.finditer(text):
        if match["stop"] and not _ends_sentence(text, start, match):
            continue
        if match["row"]:
            _add(spans, text, start, match.start())
            start = match.start()
        _add(spans, text, start, match.end())
        start = match.end()
    _add(spans, text, start, len(text))
    return spans


def _ends_sentence(text: str, start: int, match: re.Match[str]) -> bool:
    after = text[match.end() : match.end() + _LOOK].lstrip().lstrip("“‘\"'«([")
    if after[:1].islower():
        return False
    if match["stop"] != ".":
        return True
    stop = match.start("stop")
    if _NUMBER.fullmatch(text, start, stop):
        return False
    before = _WORD_BEFORE.search(text[max(start, stop - _LOOK) : stop])
    if before is None:
        return True
    word = before[1]
    initial = len(word.split(".")[-1]) == 1 and word.isupper() and word != "I"
    return not initial and word.lower().replace(".", "") not in ABBREVIATIONS


def trimmed(text: str, start: int, end: int) -> Span:
    """The range without the white space around it; empty where there is nothing else."""
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end


def _add(spans: list[Span], text: str, start: int, end: int) -> None:
    start, end = trimmed(text, start, end)
    if start < end:
        spans.append((start, end))
