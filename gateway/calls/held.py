"""An answer held back until the text in it is decided, whatever its pieces are.

Pieces keep their order. One goes out when all the text in it and before it is decided, and as it will stay: a reader
that comes back after it has missed nothing of what was before.
"""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from gateway.calls.held_text import HeldText, Screen
from gateway.guard.finding import Finding
from services.llm.openai.chunks import APART, Channel

Piece = TypeVar("Piece")
Out = TypeVar("Out")
_MOST_CLEAN, _LONGEST_CLEAN = 64, 256
# What a model thinks aloud before it answers: how the channels are called, and so much of its end is kept.
_THOUGHTS, _RECENT = ("reasoning", "thinking", "thought"), 256
# Of the texts of one answer; what would be one more is no text that others continue.
_MOST_CHANNELS = 4096
# A text of such a length that has come so often in a row, and was clean each time, is clean.
_REPEATS, _SHORTEST_REPEAT = 3, 4


class Part(Protocol):
    """A part of a piece: some text, and which text of the answer it continues; APART for one by itself. `path`: where
    in its piece it stands, if that may be said."""

    @property
    def channel(self) -> Channel: ...
    @property
    def path(self) -> str: ...
    @property
    def text(self) -> str: ...


# Where a part stands: in which text, up to which place, and the original.
_Place = tuple[HeldText, int, str]


@dataclass(slots=True)
class _Group:
    """Pieces that go out together. `open`: others may join them."""

    places: list[_Place] = field(default_factory=list)
    open: bool = True


class HeldStream(ABC, Generic[Piece, Out]):
    """`findings` are those of the answer so far; once `blocked` is set nothing more comes out. What the pieces are, and
    how they are read and written, is for those who derive from it."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._texts: dict[Channel, HeldText] = {}
        self._held: deque[tuple[Piece, list[_Place], _Group | None]] = deque()
        self._passing: set[Channel] = set()
        self._broken_off: dict[Channel, str] = {}
        self._steady: dict[Channel, str] = {}
        self._clean: set[str] = set()
        self._recent: dict[str, tuple[str, str]] = {}
        self._same: HeldText | None = None
        self._changed = False
        self._open: _Group | None = None
        self._over = False
        self.findings: list[Finding] = []
        self.blocked: Finding | None = None

    @abstractmethod
    def _read(self, piece: Piece) -> Iterable[Part]:
        """The texts in a piece of the answer."""

    @abstractmethod
    def _write(self, piece: Piece, texts: Sequence[str] | None, cut: bool) -> Out:
        """The piece with `texts` in place of its own, None where they are the same. `cut`: the answer ends in it."""

    def _joins(self, piece: Piece) -> bool:
        """Whether the piece goes out with its neighbors that join too, all of them or none."""
        return False

    def take(self, pieces: Iterable[Piece], last: bool = False) -> list[Out]:
        """Take the next pieces; returns what may go out now. `last`: nothing follows them."""
        if self.blocked is not None:
            return []
        self._hold(pieces, last)
        if self._all_may_go():
            due = [self._write(piece, None, cut=False) for piece, _, _ in self._held]
            self._held.clear()
            return due
        due = []
        while self._held:
            piece, places, group = self._held[0]
            if not _decided(places if group is None else group.places) or (group is not None and group.open):
                break
            self._held.popleft()
            texts, changed = _texts(places)
            due.append(self._write(piece, texts if changed else None, cut=False))
        self._changed = self._changed and bool(self._held)
        if self.blocked is not None and self._held:
            piece, places, group = self._held[0]
            self._held.clear()
            texts, _ = _texts(places)
            if group is None and any(texts):
                due.append(self._write(piece, texts, cut=True))
        return due

    def _all_may_go(self) -> bool:
        """Whether all that came is decided and as it was, which is the most frequent case; it counts as gone then."""
        texts = self._texts.values()
        undecided = self.blocked is not None or self._open is not None or self._changed
        if undecided or not all(text.same and text.decided == text.length for text in texts):
            return False
        for text in texts:
            text.gone = text.length
        return True

    def take_whole(self, piece: Piece) -> list[str] | None:
        """Take a piece that is the whole answer; returns its texts as they may go out, None where all of it may."""
        self._hold((piece,), last=True)
        _, places, _ = self._held.pop()
        texts, changed = _texts(places)
        return texts if changed or self.blocked is not None else None

    def shift(self, channel: Channel, index: int) -> int:
        """The place in the text that goes out of one in the original."""
        text = self._texts.get(channel)
        return index if text is None else text.screen.shift(index)

    def beside(self, text: str) -> str:
        """What may go out of a text beside the answer: nothing of one that is blocked."""
        if text in self._clean:
            return text
        released = self._screen().whole(text)
        if released.blocked is not None:
            return ""
        self._remember(text, released.text)
        return released.text

    def _remember(self, text: str, released: str) -> None:
        """Upstreams repeat some texts in every piece."""
        if released == text and len(text) <= _LONGEST_CLEAN and len(self._clean) < _MOST_CLEAN:
            self._clean.add(text)

    def _hold(self, pieces: Iterable[Piece], last: bool) -> None:
        """Hold the pieces, and screen their texts, those of each channel together."""
        arrived: dict[HeldText, list[str]] = {}
        ended: dict[HeldText, Channel] = {}
        blocked: Finding | None = None
        for piece in pieces:
            places: list[_Place] = []
            for part in self._read(piece):
                channel, original = part.channel, part.text
                if channel is APART or (channel not in self._texts and self._is_apart(channel, original)):
                    text, found = self._screen_apart(original)
                    blocked = blocked or found or self._cut(part.path, original)
                    places.append((text, text.length, original))
                    continue
                text = self._texts.get(channel) or self._new(channel)
                if self._passing:
                    for over in self._follow(channel, text, original, places):
                        ended[self._texts.pop(over)] = over
                text.length += len(original)
                places.append((text, text.length, original))
                if text in arrived:
                    arrived[text].append(original)
                else:
                    arrived[text] = [original]
            self._held.append((piece, places, self._group_of(piece, places)))
            if blocked is not None:
                break
        arrived |= {text: [] for text in ended if text not in arrived}
        if last and not self._over:
            self._over = True
            arrived |= {text: [] for text in self._texts.values() if text not in arrived}
        self._screen_all(arrived, ended, last)
        self.blocked = self.blocked or blocked

    def _group_of(self, piece: Piece, places: Sequence[_Place]) -> _Group | None:
        if self._joins(piece):
            group = self._open = self._open or _Group()
            group.places += places
            return group
        if self._open is not None:
            self._open.open, self._open = False, None
        return None

    def _is_apart(self, channel: Channel, original: str) -> bool:
        """Whether a text that begins is taken by itself: one that was the same each time, or there are too many."""
        if len(self._texts) + len(self._broken_off) >= _MOST_CHANNELS:
            return True
        if self._steady.get(channel) != original or len(original) < _SHORTEST_REPEAT:
            return False
        return self._broken_off.get(channel, "").endswith(original * _REPEATS)

    def _screen_apart(self, original: str) -> tuple[HeldText, Finding | None]:
        """A text that no other continues."""
        if original in self._clean:
            self._same = self._same or HeldText(self._screen())
            return self._same, None
        text = HeldText(self._screen())
        text.length = len(original)
        released = text.screen.whole(original)
        text.take(original, released.text)
        self.findings += released.findings
        self._remember(original, released.text)
        self._changed = self._changed or not text.same
        return text, released.blocked

    def _cut(self, path: str, original: str) -> Finding | None:
        """What begins in the texts that stood at a place before and ends in this one, where a guard acts on it. They
        are out already, so that it can only end the answer."""
        before, last = self._recent.get(path, ("", ""))
        if not path or original == last or (not last and len(self._recent) >= _MOST_CHANNELS):
            return None
        self._recent[path] = (before + original)[-_RECENT:], original
        findings = self._screen().whole(before + original).findings if before else ()
        return next((each for each in findings if each.acts and each.start < len(before) < each.end), None)

    def _new(self, channel: Channel) -> HeldText:
        text = self._texts[channel] = HeldText(self._screen())
        if _passes(channel):
            self._passing.add(channel)
            if recent := self._broken_off.pop(channel, ""):
                text.go_on(recent)
        return text

    def _follow(self, channel: Channel, text: HeldText, original: str, places: Sequence[_Place]) -> Sequence[Channel]:
        """The passing texts that end, since their choice goes on with another: it does not wait for what they may still
        say. One that is taken up again is screened together with its end. `places`: what the piece has beside it."""
        if channel in self._passing:
            text.recent = (text.recent + original)[-_RECENT:]
            if len(self._passing) == 1 or channel.name.startswith(_THOUGHTS):
                return ()
            beside = [each for each, _, _ in places]
            over = [
                other
                for other in self._passing
                if other.choice == channel.choice and other != channel and not other.name.startswith(_THOUGHTS)
                and self._texts[other] not in beside
            ]  # fmt: skip
        else:
            over = [other for other in self._passing if other.choice == channel.choice]
        for each in over:
            self._passing.remove(each)
            self._broken_off[each] = self._texts[each].recent
        return over

    def _screen_all(self, arrived: dict[HeldText, list[str]], ended: dict[HeldText, Channel], last: bool) -> None:
        """After a block nothing more is looked at."""
        for text, originals in arrived.items():
            if self.blocked is not None:
                return
            original = "".join(originals)
            released = text.screen.whole(original) if last or text in ended else text.screen.feed(original)
            text.take(original, released.text)
            self.findings += released.findings
            self.blocked = released.blocked
            if (channel := ended.get(text)) is None:
                continue
            self._changed = self._changed or not text.same
            if text.same and original and not channel.name.startswith(_THOUGHTS):
                self._steady[channel] = original
            else:
                self._steady.pop(channel, None)


def _passes(channel: Channel) -> bool:
    """Whether an answer goes on without waiting for a text to end."""
    return "." in channel.name or channel.name.startswith(_THOUGHTS)


def _texts(places: Sequence[_Place]) -> tuple[list[str], bool]:
    """What goes out of a piece's texts, and whether it is other than the originals: of one that is not decided, and
    will not be, all that was released."""
    texts: list[str] = []
    changed = False
    for text, end, original in places:
        out = text.until(end, original) if text.decided >= end else text.rest()
        changed = changed or out != original
        texts.append(out)
    return texts, changed


def _decided(places: Sequence[_Place]) -> bool:
    for text, end, _ in places:  # noqa: SIM110 (a generator takes longer than what it goes over)
        if text.decided < end:
            return False
    return True
