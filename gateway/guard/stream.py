"""Text screened as it comes: held back just long enough to decide, so that nothing blocked is ever let go."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.guard.bound import BoundDetector, BoundMatch, DetectorGroup
from gateway.guard.edits import Edits
from gateway.guard.finding import Finding

# Guards that only look may look at several pieces at once.
_OBSERVED_TOGETHER = 512


@dataclass(frozen=True, slots=True)
class Released:
    """What may be said now. `blocked`: nothing may be said after it."""

    text: str
    findings: Sequence[Finding]
    blocked: Finding | None = None


class OutputStream:
    """One text in pieces. Whatever the pieces, what is released is the same, and the same as for the whole at once:
    guards that act hold back what they are not yet sure of; those that only look hold back nothing.

    Places are characters of the text as it came. Not for several tasks at once; pieces of more than 16 KiB are better
    fed in a thread.
    """

    def __init__(self, armed: Sequence[BoundDetector], tell: Callable[[Finding], None] = lambda finding: None) -> None:
        self._acting = DetectorGroup([each for each in armed if each.acts])
        looking = [each for each in armed if not each.acts]
        self._looking = _Observer(looking) if looking else None
        self._tell = tell
        self._edits = Edits()
        self._held = ""
        self._until = 0
        self._over = False

    @property
    def released_until(self) -> int:
        """Up to where the text is decided."""
        return self._until

    def shift(self, original_index: int) -> int:
        """The place in the released text of one in the text as it came; within what was redacted, the end of what
        stands there instead."""
        return self._edits.shift(original_index)

    def feed(self, text: str) -> Released:
        """The next piece; after a block it is dropped."""
        return self._push(text, final=False)

    def finish(self) -> Released:
        """Nothing follows: the rest."""
        return self.whole("")

    def whole(self, text: str) -> Released:
        """All of a text at once, and nothing after it."""
        released = self._push(text, final=True)
        self._over = True
        return released

    def _push(self, text: str, final: bool) -> Released:
        if self._over:
            return Released("", ())
        findings = self._looking.push(text, final) if self._looking is not None else []
        self._held += text
        said, blocked = self._apply(self._acting.push(text, final), findings)
        for finding in findings:
            self._tell(finding)
        return Released(said, findings, blocked)

    def _apply(self, hits: Sequence[BoundMatch], findings: list[Finding]) -> tuple[str, Finding | None]:
        if not hits:
            return self._let_go(self._acting.until), None
        pieces: list[str] = []
        for together in _overlapping(hits):
            start, end = together[0].start, max(hit.end for hit in together)
            pieces.append(self._let_go(start))
            findings += [hit.finding for hit in together if hit.armed.tells]
            blocking = next((hit for hit in together if hit.blocks), None)
            if blocking:
                self._over, self._held = True, ""
                return "".join(pieces), blocking.finding
            pieces.append(self._replace(together, end))
        pieces.append(self._let_go(self._acting.until))
        return "".join(pieces), None

    def _let_go(self, until: int) -> str:
        width = until - self._until
        text, self._held = self._held[:width], self._held[width:]
        self._until = until
        return text

    def _replace(self, together: Sequence[BoundMatch], end: int) -> str:
        """What stands in place of hits that overlap: what the longest says, a guard's before a placeholder's."""
        start = self._until
        hit = max(together, key=lambda each: (each.armed.tells, each.end - each.start, -each.start))
        text = self._let_go(end)
        said = hit.match.replacement
        if said is None:
            said = hit.armed.redact(hit.match, text)
        self._edits.add(start, end, len(said))
        return said


class _Observer:
    """Detectors that nothing waits for."""

    def __init__(self, armed: Sequence[BoundDetector]) -> None:
        self._lane = DetectorGroup(armed)
        self._waiting: list[str] = []
        self._length = 0

    def push(self, text: str, final: bool) -> list[Finding]:
        self._waiting.append(text)
        self._length += len(text)
        if self._length < _OBSERVED_TOGETHER and not final:
            return []
        pieces, self._waiting, self._length = self._waiting, [], 0
        return [hit.finding for hit in self._lane.push("".join(pieces), final)]


def _overlapping(hits: Sequence[BoundMatch]) -> list[list[BoundMatch]]:
    """The hits, those together that overlap."""
    groups: list[list[BoundMatch]] = []
    end = -1
    for hit in hits:
        if hit.start < end:
            groups[-1].append(hit)
        else:
            groups.append([hit])
        end = max(end, hit.end)
    return groups
