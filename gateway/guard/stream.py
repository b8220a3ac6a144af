"""Text screened as it comes: held back just long enough to decide, so that nothing blocked is ever let go."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.guard.bound import BoundDetector, DetectorGroup
from gateway.guard.finding import Finding
from gateway.guard.rewriter import Rewriter

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
        self._rewriter = Rewriter()

    @property
    def released_until(self) -> int:
        """Up to where the text is decided."""
        return self._rewriter.until

    def shift(self, original_index: int) -> int:
        """The place in the released text of one in the text as it came; within what was redacted, the end of what
        stands there instead."""
        return self._rewriter.shift(original_index)

    def feed(self, text: str) -> Released:
        """The next piece; after a block it is dropped."""
        return self._push(text, final=False)

    def finish(self) -> Released:
        """Nothing follows: the rest."""
        return self.whole("")

    def whole(self, text: str) -> Released:
        """All of a text at once, and nothing after it."""
        released = self._push(text, final=True)
        self._rewriter.over = True
        return released

    def _push(self, text: str, final: bool) -> Released:
        rewriter, acting = self._rewriter, self._acting
        if rewriter.over:
            return Released("", ())
        findings = self._looking.push(text, final) if self._looking is not None else []
        rewriter.take(text)
        hits = acting.push(text, final)
        said, blocked = rewriter.write(hits, acting.until, acting.json, final, findings)
        for finding in findings:
            self._tell(finding)
        return Released(said, findings, blocked)


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
