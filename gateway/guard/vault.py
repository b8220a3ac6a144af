"""Placeholders for personal data, and what they stand for. It lives as long as a call, and in memory only."""

import re
from collections.abc import Iterable

from gateway.guard.detector import Match, Scan, Window

_PLACEHOLDER = re.compile(r"<[A-Z][A-Z0-9_]{0,40}_\d{1,6}>")
_OPEN = re.compile(r"<[A-Z0-9_]{0,50}")
_LONGEST = 52


class Vault:
    """`taken`: texts whose own placeholders are not used again, so that none is ever taken for another's."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = {found for text in taken if "<" in text for found in _PLACEHOLDER.findall(text)}
        self._placeholders: dict[tuple[str, str], str] = {}
        self._originals: dict[str, str] = {}
        self._counts: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._originals)

    def placeholder(self, match: Match, text: str) -> str:
        """<EMAIL_1>: the same for the same text each time."""
        key = (match.category, text)
        if key not in self._placeholders:
            made = self._next(match.category)
            self._placeholders[key] = made
            self._originals[made] = text
        return self._placeholders[key]

    def original(self, placeholder: str) -> str | None:
        return self._originals.get(placeholder)

    def _next(self, category: str) -> str:
        while True:
            self._counts[category] = number = self._counts.get(category, 0) + 1
            made = f"<{category}_{number}>"
            if made not in self._taken:
                return made

    def __repr__(self) -> str:
        return f"Vault({len(self)})"


class Placeholders:
    """A vault's placeholders in a text, each to be replaced with what it stands for."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def scan(self, window: Window) -> Scan:
        view = window.read
        text, start = view.text, view.index(window.start)
        found = [
            Match(view.origin(match.start()), view.end(match.end()), "PLACEHOLDER", original)
            for match in _PLACEHOLDER.finditer(text, start)
            if (original := self._vault.original(match[0])) is not None
        ]
        return Scan(found, view.origin(len(text) if window.final else max(_open_from(text), start)))


def _open_from(text: str) -> int:
    at = text.rfind("<", max(len(text) - _LONGEST, 0))
    return at if at >= 0 and _OPEN.fullmatch(text, at) else len(text)
