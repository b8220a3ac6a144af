"""Several texts screened in one go: each by itself, and those that a model reads one behind the other across their
joints too, so that nothing hides by being cut in two."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate

from gateway.guard.bound import BoundDetector, BoundMatch, DetectorGroup
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
    for parts in _of_each(texts, armed):
        for item, part in parts:
            hits[item].append(part)
    said = [item for flow in flows for item in flow if texts[item]]
    for parts in _across(_Joined(texts, said, ""), armed) if len(said) > 1 else ():
        if not any(_same(part, other) for item, part in parts for other in hits[item]):
            for item, part in parts:
                hits[item].append(part)
    return [_written(text, found) for text, found in zip(texts, hits, strict=True)]


def _same(part: BoundMatch, other: BoundMatch) -> bool:
    """Whether what seems to reach over a joint is found on one side of it too: then that is all of it."""
    overlap = part.start < other.end and other.start < part.end
    return overlap and part.armed.detector is other.armed.detector and part.match.category == other.match.category


# The parts of a hit, each in its text: one, but where it reaches over several.
_Parts = list[tuple[int, BoundMatch]]


def _of_each(texts: Sequence[str], armed: Sequence[BoundDetector]) -> Iterator[_Parts]:
    """What is found in the texts, all of them at once with an edge between each two."""
    of_each = [each for each in armed if isinstance(each.detector, Length)]
    armed = [each for each in armed if not isinstance(each.detector, Length)]
    for item, text in enumerate(texts) if of_each else ():
        yield from ([(item, hit)] for hit in DetectorGroup(of_each).push(text, final=True))
    if not armed:
        return
    plain, escaped = [], []
    for item, text in enumerate(texts):
        if text:
            (escaped if "\\" in text or begins_json(text) else plain).append(item)
    for items, json in ((plain, False), (escaped, True)):
        if items:
            joined = _Joined(texts, items, _BETWEEN)
            yield from map(joined.parts, DetectorGroup(armed, json).push(joined.text, final=True))


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
        at = bisect_right(self._ends, hit.start)
        return at < len(self._ends) and hit.end > self._ends[at]

    def parts(self, hit: BoundMatch) -> _Parts:
        """The first says what stands in place of all."""
        at = bisect_right(self._ends, hit.start)
        first = self._ends[at - 1] if at else 0
        if hit.end <= self._ends[at]:
            return [(self._items[at], replace(hit, start=hit.start - first, end=hit.end - first) if first else hit)]
        found = self.text[hit.start : hit.end]
        said = hit.match.replacement
        if said is None:
            said = hit.armed.redact(hit.match, unescaped(found) if hit.behind else found)
        parts: _Parts = []
        start = hit.start
        while start < hit.end:
            end = min(hit.end, self._ends[at] - self._gap)
            if start < end:
                match = replace(hit.match, replacement="" if parts else said)
                armed = replace(hit.armed, tells=False) if parts else hit.armed
                part = replace(hit, start=start - first, end=end - first, match=match, armed=armed)
                parts.append((self._items[at], part))
            start = first = self._ends[at]
            at += 1
        return parts


def _across(joined: _Joined, armed: Sequence[BoundDetector]) -> Iterator[_Parts]:
    """What is found over the joints alone."""
    stretches = _beside(joined.text, joined.joints)
    batch = _BETWEEN.join(joined.text[start:end] for start, end in stretches)
    firsts = [0, *accumulate(end - start + len(_BETWEEN) for start, end in stretches)]
    found: dict[tuple[int, int, str, int], BoundMatch] = {}
    for hit in DetectorGroup(armed).push(batch, final=True):
        at = bisect_right(firsts, hit.start) - 1
        move = stretches[at][0] - firsts[at]
        placed = replace(hit, start=hit.start + move, end=hit.end + move)
        if placed.end <= stretches[at][1] and joined.crosses(placed):
            found.setdefault((placed.start, placed.end, hit.match.category, id(hit.armed)), placed)
    yield from map(joined.parts, found.values())


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
    if at <= 0:
        return 0
    lowest = max(at - _LONGEST_WORD, 0)
    before = text[lowest:at]
    return lowest + max(before.rfind(" "), before.rfind("\n")) + 1


def _word_end(text: str, at: int) -> int:
    ends = [end for sign in " \n" if (end := text.find(sign, at, at + _LONGEST_WORD)) >= 0]
    return min(ends, default=min(at + _LONGEST_WORD, len(text))) if at < len(text) else len(text)


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
