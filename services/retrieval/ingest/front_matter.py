"""Front matter: the YAML between two lines of `---` at the start of a Markdown file, as a title and labels.

What is no mapping in YAML or is longer than MOST_BYTES is text like any other; what only fails to be one is left out.
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
_FIELD = re.compile(rb"[^\W\d][\w. -]{0,60}:(?:\s|\Z)")
_LINE = re.compile(_FIELD.pattern + rb"|[ \t]+\S|- |-\Z|#|[\]}]")
_LONGEST_FAULT = 200
# ValueError: no UTF-8, BadYaml. TypeError: a key that is no text.
_FAULTS = (yaml.YAMLError, ValueError, TypeError)
# Its scalars are texts as they stand: `2024-01-02` and `no` are no dates and booleans.
_LOADER: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)


@dataclass(frozen=True, slots=True)
class FrontMatter:
    """What a document says of itself, and the length of that in bytes. `fault`: why it was not read, "" where it
    was."""

    title: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    length: int = 0
    fault: str = ""


def read_front_matter(data: bytes) -> FrontMatter:
    """That of a Markdown document in UTF-8; empty where it has none."""
    block = _BLOCK.match(data[:MOST_BYTES])
    if block is None:
        return FrontMatter()
    body = block[1] or b""
    try:
        fields = _mapping(body)
    except _FAULTS as error:
        return FrontMatter(length=block.end(), fault=_why(error)) if _is_meant(body) else FrontMatter()
    if fields is None:
        return FrontMatter()
    title = value_of(fields.pop("title", None)) or ""
    labels = allowed({key: value for key, each in fields.items() if (value := value_of(each))})
    return FrontMatter(" ".join(title.split()), labels, block.end())


def allowed(labels: Mapping[str, str]) -> dict[str, str]:
    """Those of the labels that a document may give itself: the reserved ones are the caller's alone."""
    return {key: value for key, value in labels.items() if key != SUBJECT and not key.startswith(RESERVED)}


def _mapping(block: bytes) -> dict[str, Any] | None:
    """The fields of a mapping; None for anything else. Raises YAMLError, ValueError, TypeError."""
    text = "\n" + block.decode()  # as the first line stands before it, lines are counted as those of the file
    look_over(text, _LOADER)
    fields = yaml.load(text, _LOADER)  # noqa: S506 (a loader that makes texts, lists and mappings of them alone)
    if not isinstance(fields, dict) or not all(isinstance(key, str) for key in fields):
        return None
    return fields


def _is_meant(block: bytes) -> bool:
    """Whether lines that are no YAML were meant as fields: all of them are such, items, comments or indented."""
    lines = [line for line in block.splitlines() if line.strip()]
    return all(map(_LINE.match, lines)) and any(map(_FIELD.match, lines))


def _why(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    if isinstance(error, UnicodeDecodeError):
        return "it is not in UTF-8"
    if mark is None:
        return str(error).partition("\n")[0][:_LONGEST_FAULT]
    return f"line {mark.line + 1}: {getattr(error, 'problem', None) or 'no valid YAML'}"[:_LONGEST_FAULT]
