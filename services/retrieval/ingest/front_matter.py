"""Front matter: the YAML between two lines of `---` at the start of a Markdown file, as a title and labels.

What is no mapping in YAML, has aliases or is longer than MOST_BYTES is text like any other.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from services.runtime.labels import RESERVED, value_of
from services.runtime.strict_yaml import look_over

MOST_BYTES = 16 << 10
SUBJECT = "subject"
"""Says whose data a document is, which decides what is erased: the caller's alone, too."""
_BLOCK = re.compile(rb"(?:\xef\xbb\xbf)?---[ \t]*\r?\n(.*?\r?\n)??(?:---|\.\.\.)[ \t]*(?:\r?\n|\Z)", re.DOTALL)
# Its scalars are texts as they stand: `2024-01-02` and `no` are no dates and booleans.
_LOADER: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)


@dataclass(frozen=True, slots=True)
class FrontMatter:
    """What a document says of itself, and the length of that in bytes."""

    title: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    length: int = 0


def read_front_matter(data: bytes) -> FrontMatter:
    """That of a Markdown document in UTF-8; empty where it has none."""
    block = _BLOCK.match(data[:MOST_BYTES])
    if block is None:
        return FrontMatter()
    fields = _mapping(block[1] or b"")
    if fields is None:
        return FrontMatter()
    title = value_of(fields.pop("title", None)) or ""
    labels = allowed({key: value for key, each in fields.items() if (value := value_of(each))})
    return FrontMatter(" ".join(title.split()), labels, block.end())


def allowed(labels: Mapping[str, str]) -> dict[str, str]:
    """Those of the labels that a document may give itself: the reserved ones are the caller's alone."""
    return {key: value for key, value in labels.items() if key != SUBJECT and not key.startswith(RESERVED)}


def _mapping(block: bytes) -> dict[str, Any] | None:
    """The fields of a mapping; None for anything else."""
    try:
        text = block.decode()
        look_over(text, _LOADER)
        fields = yaml.load(text, _LOADER)  # noqa: S506 (a loader that makes texts, lists and mappings of them alone)
    except (yaml.YAMLError, ValueError, TypeError):  # ValueError: no UTF-8, BadYaml; TypeError: a key that is no text
        return None
    if not isinstance(fields, dict) or not all(isinstance(key, str) for key in fields):
        return None
    return fields
