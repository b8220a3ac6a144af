"""When the text of a generation goes out."""

from collections.abc import Callable


class Coalescer:
    """Decides when text goes out. All times are in seconds on one clock.

    The first piece goes at once, a later one when `window()` seconds have passed since the last or `tokens` tokens
    wait. So where the engine's steps take longer than the window, nothing waits.
    """

    __slots__ = ("_last", "_pieces", "_tokens", "_window", "waiting")

    def __init__(self, window: Callable[[], float], tokens: int) -> None:
        self._window = window
        self._tokens = tokens
        self._last = float("-inf")
        self._pieces: list[str] = []
        self.waiting = 0

    @property
    def due(self) -> float:
        """When what waits has to go out."""
        return self._last + self._window()

    def add(self, text: str, tokens: int, now: float) -> bool:
        """Take a piece in; whether what waits is to go out now."""
        self._pieces.append(text)
        self.waiting += tokens
        return now >= self.due or self.waiting >= self._tokens

    def take(self, now: float) -> tuple[str, int]:
        """All that waits, and its tokens."""
        text, tokens = "".join(self._pieces), self.waiting
        self._pieces.clear()
        self.waiting = 0
        self._last = now
        return text, tokens
