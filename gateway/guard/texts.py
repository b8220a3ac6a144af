"""Several texts screened in one go: each by itself, and those that a model reads one behind the other across their
joints too, so that nothing hides by being cut in two."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate

from gateway.guard.bound import VISIBLE, BoundDetector, BoundMatch, DetectorGroup
from gateway.guard.escapes import unescaped
from gateway.guard.finding import Finding
from gateway.guard.json_text import begins_json
from gateway.guard.length import Length
from gateway.guard.rewriter import Rewriter

_BETWEEN = "\n"
# So much on each side of a joint is looked at, and the whole of the words that this begins and ends in.
_BESIDE = 96
_LONGEST_WORD = 2048


@dataclass(slots=True)
class ScreenedText:
    """What becomes of a text, and what is found in it. What reaches over several is found in the first of them."""

    text: str
    findings: list[Finding] = field(default_factory=list)


def screen_texts(
    texts: Sequence[str], armed: Sequence[BoundDetector], flows: Sequence[Sequence[int]] = ()
) -> list[ScreenedText]:
    """`flows`: what each message says, in texts that are read one behind the other, as are the messages. Time is linear
    in the texts."""
    hits: list[list[BoundMatch]] = [[] for _ in texts]
    for joined, hit in _of_each(texts, armed):
        joined.put(hit, hits)
    said = [item for flow in flows for item in flow if texts[item]]
    if len(said) > 1:
        joined = _Joined(texts, said, "")
        for hit in _across(joined, armed):
            joined.put(hit, hits, alone=True)
    return [_written(text, found) for text, found in zip(texts, hits, strict=True)]


class _Joined:
    """Some of the texts as one, with something `between` them."""

    def __init__(self, texts: Sequence[str], items: Sequence[int], between: str) -> None:
        self.text = texts[items[0]] if len(items) == 1 else between.join(texts[item] for item in items)
        self._items = items
        self._ends = list(accumulate(len(texts[item]) + len(between) for item in items))
        self._gap = len(between)

    @property
    def joints(self) -> Sequence[int]:
        return self._ends[:-1]

    def crosses(self, hit: BoundMatch) -> bool:
        """Whether it reaches over a joint."""
        return hit.end > self._ends[bisect_right(self._ends, hit.start)]

    def put(self, hit: BoundMatch, hits: Sequence[list[BoundMatch]], alone: bool = False) -> None:
        """Add a hit to those of its text, or its parts to those of several, of which the first says what stands in
        place of all. `alone`: not where it is also found in one of them, for that is all of it then."""
        parts = list(self._parts(hit))
        if alone and any(_is_part(other, each) for item, each in parts for other in hits[item]):
            return
        if len(parts) > 1 and hit.match.replacement is None:
            found = self.text[hit.start : hit.end]
            said = hit.armed.redact(hit.match, unescaped(found) if hit.behind else found)
            parts[0] = (parts[0][0], replace(parts[0][1], match=replace(hit.match, replacement=said)))
        for item, part in parts:
            hits[item].append(part)

    def _parts(self, hit: BoundMatch) -> Iterator[tuple[int, BoundMatch]]:
        at = bisect_right(self._ends, hit.start)
        first = self._ends[at - 1] if at else 0
        start, part = hit.start, hit
        while start < hit.end:
            end = min(hit.end, self._ends[at] - self._gap)
            if start < end:
                yield self._items[at], replace(part, start=start - first, end=end - first)
            match, armed = replace(hit.match, replacement=""), replace(hit.armed, tells=False)
            part = replace(hit, match=match, armed=armed)
            start = first = self._ends[at]
            at += 1


def _is_part(found: BoundMatch, part: BoundMatch) -> bool:
    """Whether a hit is one of the same thing at the same place."""
    overlap = part.start < found.end and found.start < part.end
    return overlap and part.armed.detector is found.armed.detector and part.match.category == found.match.category


def _of_each(texts: Sequence[str], armed: Sequence[BoundDetector]) -> Iterator[tuple[_Joined, BoundMatch]]:
    """What is found in the texts: all of them at once, with an edge between each two."""
    lengths = [each for each in armed if isinstance(each.detector, Length)]
    armed = [each for each in armed if not isinstance(each.detector, Length)]
    groups = [([item], lengths, False) for item in range(len(texts))] if lengths else []
    escaped = {item for item, text in enumerate(texts) if "\\" in text or begins_json(text)}
    plain = [item for item, text in enumerate(texts) if text and item not in escaped]
    groups += [(plain, armed, False), (sorted(escaped), armed, True)]
    for items, detectors, json in groups:
        if items and detectors:
            joined = _Joined(texts, items, _BETWEEN)
            for hit in DetectorGroup(detectors, json).push(joined.text, final=True):
                yield joined, hit


def _across(joined: _Joined, armed: Sequence[BoundDetector]) -> Iterator[BoundMatch]:
    """What is found over the joints alone."""
    stretches = _beside(joined.text, joined.joints)
    batch = _BETWEEN.join(joined.text[start:end] for start, end in stretches)
    firsts = [0, *accumulate(end - start + len(_BETWEEN) for start, end in stretches)]
    found: set[tuple[int, int, str, int]] = set()
    for hit in DetectorGroup(armed).push(batch, final=True):
        at = bisect_right(firsts, hit.start) - 1
        move = stretches[at][0] - firsts[at]
        placed = replace(hit, start=hit.start + move, end=hit.end + move)
        key = (placed.start, placed.end, hit.match.category, id(hit.armed))
        if placed.end <= stretches[at][1] and key not in found and joined.crosses(placed):
            found.add(key)
            yield placed


def _beside(text: str, joints: Sequence[int]) -> list[tuple[int, int]]:
    """The stretches around the joints: each joint's own, in which the joints beside it are edges; and where there are
    several in one, that too."""
    edges = [0, *joints, len(text)]
    around = [(_word_start(text, joint - _BESIDE), _word_end(text, joint + _BESIDE)) for joint in joints]
    own = [(max(start, edges[at]), min(end, edges[at + 2])) for at, (start, end) in enumerate(around)]
    several: list[tuple[int, int]] = []
    for at, (start, end) in enumerate(around):
        if at and start < joints[at - 1] and several:
            several[-1] = (several[-1][0], max(several[-1][1], end))
        else:
            several.append((start, end))
    return [*own, *(each for each in several if each not in own)]


def _word_start(text: str, at: int) -> int:
    before = text[max(at - _LONGEST_WORD, 0) : max(at, 0)]
    return max(at, 0) - len(before) + len(before.rstrip(VISIBLE))


def _word_end(text: str, at: int) -> int:
    after = text[at : at + _LONGEST_WORD]
    return min(at, len(text)) + len(after) - len(after.lstrip(VISIBLE))


def _written(text: str, hits: list[BoundMatch]) -> ScreenedText:
    if not hits:
        return ScreenedText(text)
    findings: list[Finding] = []
    acting = [hit for hit in hits if hit.armed.acts]
    looking = [hit.finding for hit in hits if hit.armed.tells and not hit.armed.acts]
    said = text
    if acting:
        rewriter = Rewriter()
        rewriter.take(text)
        said, _ = rewriter.write(
            sorted(acting, key=lambda hit: (hit.start, hit.end)), len(text), begins_json(text), True, findings
        )
    return ScreenedText(said, [*looking, *findings])
