"""How long an answer may be."""

from gateway.guard.detector import Match, Scan, Window

CATEGORY = "LENGTH"


class Length:
    """`longest`: characters that the whole text may have."""

    def __init__(self, longest: int) -> None:
        self._longest = longest

    def scan(self, window: Window) -> Scan:
        """The first character beyond, if there is one."""
        at = self._longest - window.base
        beyond = window.start <= at < len(window.text)
        reason = f"longer than {self._longest} characters"
        return Scan([Match(at, at + 1, CATEGORY, reason=reason)] if beyond else [], len(window.text))
