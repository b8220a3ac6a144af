"""Several texts screened in one go: each by itself, and those that a model reads one behind the other across their
joints too, so that nothing hides by being cut in two."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate

from gateway.guard.bound import VISIBLE, BoundDetector, BoundMatch, DetectorGroup, Spans
from gateway.guard.escapes import unescaped
from gateway.guard.finding import Finding
from gateway.guard.json_text import begins_json
from gateway.guard.length import Length
from gateway.guard.rewriter import Rewriter
from gateway.guard.turns import Steps, at_once

# Nothing that is found reaches over it, whatever separators it may have.
_BETWEEN = "\n;\n"
# So much on each side of a joint is looked at, and the whole of the words that this begins and ends in.
_BESIDE = 96
_LONGEST_WORD = 2048
# What is looked at, and what is rewritten, in one step.
_SLICE = 16 * 1024
_HITS = 1024


@dataclass(slots=True)
class ScreenedText:
    """What becomes of a text, and what is found in it. What reaches over several is found in the first of them."""

    text: str
    findings: list[Finding] = field(default_factory=list)


def screen_texts(
    texts: Sequence[str],
    armed: Sequence[BoundDetector],
    flows: Sequence[Sequence[int]] = (),
    lists: Sequence[Sequence[int]] = (),
) -> list[ScreenedText]:
    """`flows`: what each message says, in texts that are read one behind the other, as are the messages. `lists`: other
    texts that are, those of each list by themselves. Time is linear in the texts."""
    return at_once(screening(texts, armed, flows, lists))


def screening(
    texts: Sequence[str],
    armed: Sequence[BoundDetector],
    flows: Sequence[Sequence[int]] = (),
    lists: Sequence[Sequence[int]] = (),
) -> Steps[list[ScreenedText]]:
    """The same in steps, each of which is short however long the texts are."""
    said = [item for flow in flows for item in flow if texts[item]]
    together = [said, *([item for item in each if texts[item]] for each in lists)]
    joined = [_Joined(texts, items, "") for items in together if len(items) > 1]
    stretches = [_beside(each.text, each.joints) for each in joined]
    beside = [each.text[start:end] for each, places in zip(joined, stretches, strict=True) for start, end in places]
    hits = yield from _found([*texts, *beside] if beside else texts, len(texts), armed)
    if not any(hits):
        return [ScreenedText(text) for text in texts]
    first = len(texts)
    for each, places in zip(joined, stretches, strict=True):
        found = hits[first : first + len(places)]
        first += len(places)
        if any(found):
            each.add(places, found, hits)
    written: list[ScreenedText] = []
    for text, own in zip(texts, hits, strict=False):
        written.append((yield from _written(text, own)) if own else ScreenedText(text))
    return written


_Hits = Sequence[list[BoundMatch]]


class _Joined:
    """Some of the texts as one, with something `between` them."""

    def __init__(self, texts: Sequence[str], items: Sequence[int], between: str) -> None:
        said = [texts[item] for item in items]
        gap = len(between)
        self.text = between.join(said)
        self._items = items
        self._gap = gap
        self._ends = list(accumulate([len(text) + gap for text in said]))

    @property
    def joints(self) -> Sequence[int]:
        return self._ends[:-1]

    def add(self, stretches: Sequence[tuple[int, int]], found: Sequence[Sequence[BoundMatch]], hits: _Hits) -> None:
        """Add what was found in stretches of the whole and reaches over a joint; not where the same is found in one of
        the texts, or over one joint alone, for that is all of it then."""
        own = len(self.joints)
        across = [self._across(*each, hits) for each in zip(stretches, found, strict=True)]
        known = [hit for each in across[:own] for hit in each]
        places: dict[tuple[int, str], list[tuple[int, int]]] = {}
        for hit in known:
            places.setdefault(_kind(hit), []).append((hit.start, hit.end))
        spans = {kind: Spans(each) for kind, each in places.items()}
        far = [hit for each in across[own:] for hit in each]
        known += [hit for hit in far if _kind(hit) not in spans or not spans[_kind(hit)].touch(hit.start, hit.end)]
        for hit in known:
            self.put(hit, hits)

    def _across(self, stretch: tuple[int, int], found: Sequence[BoundMatch], hits: _Hits) -> list[BoundMatch]:
        """What was found in a stretch and is found nowhere else, at its places in the whole."""
        placed = [
            replace(hit, start=hit.start + stretch[0], end=hit.end + stretch[0]) for hit in found if hit.armed.tells
        ]
        return [
            hit
            for hit in placed
            if hit.end > self._end(hit.start)
            and not any(_is_part(other, part) for item, part in self._parts(hit) for other in hits[item])
        ]

    def put(self, hit: BoundMatch, hits: _Hits) -> None:
        """Add a hit to those of its text, or its parts to those of several, of which the first says what stands in
        place of all."""
        parts = list(self._parts(hit))
        if len(parts) > 1 and hit.match.replacement is None:
            found = self.text[hit.start : hit.end]
            said = hit.armed.redact(hit.match, unescaped(found) if hit.behind else found)
            parts[0] = (parts[0][0], replace(parts[0][1], match=replace(hit.match, replacement=said)))
        for item, part in parts:
            hits[item].append(part)

    def _end(self, place: int) -> int:
        """Where the text ends that is at a place."""
        return self._ends[bisect_right(self._ends, place)]

    def _parts(self, hit: BoundMatch) -> Iterator[tuple[int, BoundMatch]]:
        at = bisect_right(self._ends, hit.start)
        first = self._ends[at - 1] if at else 0
        if hit.end <= self._ends[at]:
            yield self._items[at], replace(hit, start=hit.start - first, end=hit.end - first) if first else hit
            return
        start, part = hit.start, hit
        while start < hit.end:
            end = min(hit.end, self._ends[at] - self._gap)
            if start < end:
                yield self._items[at], replace(part, start=start - first, end=end - first)
            part = replace(hit, match=replace(hit.match, replacement=""), armed=replace(hit.armed, tells=False))
            start = first = self._ends[at]
            at += 1


def _is_part(found: BoundMatch, part: BoundMatch) -> bool:
    """Whether a hit is one of the same thing at the same place."""
    return part.start < found.end and found.start < part.end and _kind(part) == _kind(found)


def _kind(hit: BoundMatch) -> tuple[int, str]:
    return id(hit.armed.detector), hit.match.category


def _found(texts: Sequence[str], counted: int, armed: Sequence[BoundDetector]) -> Steps[list[list[BoundMatch]]]:
    """What is found in each text: in all of them at once, with an edge between each two. The first `counted` have their
    own lengths."""
    hits: list[list[BoundMatch]] = [[] for _ in texts]
    lengths = [each for each in armed if isinstance(each.detector, Length)]
    if lengths:
        armed = [each for each in armed if each not in lengths]
        for item in range(counted):
            hits[item] += DetectorGroup(lengths).push(texts[item], final=True)
    plain, escaped = list[int](), list[int]()
    for item, text in enumerate(texts):
        if text:
            (escaped if "\\" in text or begins_json(text) else plain).append(item)
    for items, json in ((plain, False), (escaped, True)):
        if items and armed:
            joined: _Joined | None = None
            group, text, at = DetectorGroup(armed, json), _BETWEEN.join([texts[item] for item in items]), 0
            while at < len(text):
                # As much as what is still open, which is looked at again: all of it takes twice as long at most.
                start, at = at, at + max(_SLICE, 2 * (at - group.until))
                for hit in group.push(text[start:at] if at - start < len(text) else text, final=at >= len(text)):
                    joined = joined or _Joined(texts, items, _BETWEEN)
                    joined.put(hit, hits)
                if at < len(text):
                    yield
    return hits


def _beside(text: str, joints: Sequence[int]) -> list[tuple[int, int]]:
    """The stretches around the joints: each joint's own, in which the joints beside it are edges; and where there are
    several in one, that too."""
    around = [(_word_start(text, joint - _BESIDE), _word_end(text, joint + _BESIDE)) for joint in joints]
    if len(joints) == 1:
        return around
    edges = [0, *joints, len(text)]
    own = [(max(start, edges[at]), min(end, edges[at + 2])) for at, (start, end) in enumerate(around)]
    known = frozenset(own)
    several: list[tuple[int, int]] = []
    for at, (start, end) in enumerate(around):
        if at and start < joints[at - 1] and several:
            several[-1] = (several[-1][0], max(several[-1][1], end))
        else:
            several.append((start, end))
    return [*own, *(each for each in several if each not in known)]


def _word_start(text: str, at: int) -> int:
    if at <= 0:
        return 0
    before = text[max(at - _LONGEST_WORD, 0) : at]
    return at - len(before) + len(before.rstrip(VISIBLE))


def _word_end(text: str, at: int) -> int:
    if at >= len(text):
        return len(text)
    after = text[at : at + _LONGEST_WORD]
    return at + len(after) - len(after.lstrip(VISIBLE))


def _written(text: str, hits: list[BoundMatch]) -> Steps[ScreenedText]:
    findings: list[Finding] = []
    acting = [hit for hit in hits if hit.armed.acts]
    looking = [hit.finding for hit in hits if hit.armed.tells and not hit.armed.acts]
    if not acting:
        return ScreenedText(text, looking)
    acting.sort(key=lambda hit: (hit.start, hit.end))
    rewriter, json, pieces = Rewriter(), begins_json(text), list[str]()
    rewriter.take(text)
    for part, until in [(acting, len(text))] if json else _apart(acting, len(text)):
        said, blocked = rewriter.write(part, until, json, until == len(text), findings)
        pieces.append(said)
        if blocked is not None:
            break
        if until < len(text):
            yield
    return ScreenedText("".join(pieces), [*looking, *findings])


def _apart(hits: Sequence[BoundMatch], end: int) -> Iterator[tuple[Sequence[BoundMatch], int]]:
    """Some hits at a time, and up to where the text is decided by them: none reaches over that."""
    at = 0
    while at < len(hits):
        stop = at + _HITS
        reach = max(hit.end for hit in hits[at:stop])
        while stop < len(hits) and hits[stop].start < reach:
            reach = max(reach, hits[stop].end)
            stop += 1
        yield hits[at:stop], hits[stop].start if stop < len(hits) else end
        at = stop
