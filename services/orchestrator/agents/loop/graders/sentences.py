"""Texts cut into sentences, for graders."""

import re

_END = re.compile(r"(?<=[.!?])[\"')\]]*\s+|(?<=[。！？])|\n+")
_MARK = re.compile(r"\s*\[\d{1,3}(?:\s*[,;]\s*\d{1,3})*\]")


def sentences_of(text: str) -> list[str]:
    """The sentences of a text, without marks such as [2]; what has no word in it is left out."""
    parts = (part.strip() for part in _END.split(_MARK.sub("", text)))
    return [part for part in parts if any(character.isalnum() for character in part)]
