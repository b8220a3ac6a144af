"""What a detector finds in a text."""

from gateway.guard.detector import Detector, Window


def found(detector: Detector, text: str) -> list[tuple[str, str]]:
    """The category and the words of each match."""
    matches = sorted(detector.scan(Window(text)).matches, key=lambda match: (match.start, match.end))
    return [(match.category, text[match.start : match.end]) for match in matches]


def held(detector: Detector, text: str) -> str:
    """What of a text is held back when more may come."""
    return text[detector.scan(Window(text, final=False)).open_from :]
