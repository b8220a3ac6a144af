"""Orders to drop the rules or to read them out, in the languages of the lexicon: its words near each other, in the
order of the language, with no other thought between."""

import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from ahocorasick_rs import AhoCorasick

from gateway.guard.injection.lexicon import Language, load
from gateway.guard.normalize import SEARCH
from services.runtime.language.script import has_cjk

OVERRIDE, EXTRACTION, PERSONA = "override", "extraction", "persona"
_KINDS = ("ignore", "old", "rules", "reveal", "prompt", "become", "free")
# Without one of these there is no order.
_TELLING = ("ignore", "prompt", "free")
_PERSONA_WITHIN = (100, 40)
# Characters between an order and what it is about, and to what says which: with spaces between words, and without.
_AHEAD, _BEHIND, _AROUND = (40, 16), (16, 7), (30, 14)
# The same where the words are said of little else.
_FAR = (60, 24)
# A long text is read in stretches, so that no more words are in memory than these have.
_STRETCH, _OVERLAP = 64 * 1024, 256
_END = re.compile(r"[.!?;:…。！？；،؛۔।]")
_COMMA = re.compile("[,\u060c\u3001]")
_WORDS = re.compile(r"\w+")
Span = tuple[int, int]
Spans = Mapping[str, Sequence[Span]]


class Phrases:
    """Made once. Safe for use by several threads."""

    def __init__(self, languages: Mapping[str, Language] | None = None) -> None:
        self._languages = languages = load() if languages is None else languages
        words = [
            (SEARCH(word.rstrip("*")), name, kind, word.endswith("*"))
            for name, language in languages.items()
            for kind in _KINDS
            for word in getattr(language, kind)
        ]
        self._joins = {name: frozenset(map(SEARCH, language.joins)) for name, language in languages.items()}
        by_text: dict[str, list[tuple[str, str, bool]]] = defaultdict(list)
        for text, name, kind, begins in words:
            by_text[text].append((name, kind, begins))
        self._meanings = list(by_text.values())
        self._automaton = AhoCorasick(list(by_text), store_patterns=False)

    def find(self, text: str) -> str | None:
        """OVERRIDE, EXTRACTION or PERSONA, as a text with its disguises off orders; None. Linear in its length."""
        text = " ".join(text.split())
        found = {
            kind for at in range(0, len(text), _STRETCH) for kind in self._find(text[at : at + _STRETCH + _OVERLAP])
        }
        return next((kind for kind in (OVERRIDE, EXTRACTION, PERSONA) if kind in found), None)

    def _find(self, text: str) -> Iterator[str]:
        for name, spans in self._spans(text).items():
            yield from self._orders(text, name, spans)

    def _spans(self, text: str) -> dict[str, dict[str, list[Span]]]:
        """Where words stand, by language and kind, of the languages that an order may be in."""
        hits = self._automaton.find_matches_as_indexes(text, overlapping=True)
        ordered = {name for number, _, _ in hits for name, kind, _ in self._meanings[number] if kind in _TELLING}
        spans: dict[str, dict[str, list[Span]]] = {name: defaultdict(list) for name in ordered}
        if not ordered:
            return spans
        for number, start, end in hits:
            for name, kind, begins in self._meanings[number]:
                if name in ordered and (not self._languages[name].spaced or _is_word(text, start, end, begins)):
                    spans[name][kind].append((start, _word_end(text, end) if begins else end))
        return spans

    def _orders(self, text: str, name: str, spans: Spans) -> Iterator[str]:
        language, joins = self._languages[name], self._joins[name]
        dense = name in ("zh", "ja", "th", "ko")
        rules, old = spans.get("rules", ()), spans.get("old", ())
        if rules and old:
            for verb in spans.get("ignore", ()):
                if any(_has(old, low, high) for low, high in _about(text, verb, rules, language, joins, dense)):
                    yield OVERRIDE
                    break
        prompts = spans.get("prompt", ())
        if prompts and any(
            any(_about(text, verb, prompts, language, joins, dense, far=True)) for verb in spans.get("reveal", ())
        ):
            yield EXTRACTION
        free, within = spans.get("free", ()), _PERSONA_WITHIN[dense]
        if free and any(_has(free, end, end + within) for _, end in spans.get("become", ())):
            yield PERSONA


def _about(
    text: str,
    verb: Span,
    things: Sequence[Span],
    language: Language,
    joins: frozenset[str],
    dense: bool,
    far: bool = False,
) -> Iterator[Span]:
    """For each thing that an order is about: where what says which stands, if any does."""
    start, end = verb
    around = _AROUND[dense]
    ahead, behind = (_FAR, _FAR) if far else (_AHEAD, _BEHIND)
    for at in range(bisect_left(things, (end, 0)), len(things)):
        first, after = things[at]
        if first - end > ahead[dense]:
            break
        if not _parted(text[end:first], joins):
            # What stands before a comma belongs to something else.
            yield max(end, text.rfind(",", end, first), text.rfind("\u060c", end, first)), after + around
    if not language.verb_last:
        return
    for at in range(bisect_left(things, (start, 0)) - 1, -1, -1):
        first, after = things[at]
        if start - after > behind[dense]:
            break
        if after <= start and not _COMMA.search(text, after, start) and not _parted(text[after:start], joins):
            yield first - around, start


def _parted(between: str, joins: frozenset[str]) -> bool:
    return _END.search(between) is not None or not joins.isdisjoint(_WORDS.findall(between))


def _has(spans: Sequence[Span], low: int, high: int) -> bool:
    at = bisect_left(spans, (low, 0))
    return at < len(spans) and spans[at][1] <= high


def _word_end(text: str, end: int) -> int:
    while end < len(text) and text[end].isalnum():
        end += 1
    return end


def _is_word(text: str, start: int, end: int, begins: bool) -> bool:
    """Whether words begin and end there; where it is the beginning of one, it may go on."""
    before = start > 0 and text[start - 1].isalnum() and not has_cjk(text[start - 1])
    after = not begins and end < len(text) and text[end].isalnum() and not has_cjk(text[end])
    return not before and not after
