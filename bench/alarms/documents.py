"""Files as the texts that agents say and read."""

import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gateway.guard.json_text import begins_json

# So long is a text; a JSON is one text however long it is, up to this.
CHARACTERS, JSON_CHARACTERS = 4_000, 64_000
_MOST_BYTES = 8 << 20


@dataclass(frozen=True, slots=True)
class Text:
    """A text and the file that it is from."""

    file: Path
    text: str


def texts(folder: Path) -> Iterator[Text]:
    """Of every file of a folder that holds UTF-8, compressed with gzip or not, in the order of their names."""
    for file in sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()):
        content = _content(file)
        if content is not None:
            yield from (Text(file, piece) for piece in _pieces(content))


def _content(file: Path) -> str | None:
    """None where it is no text."""
    try:
        with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as opened:
            read = opened.read(_MOST_BYTES)
        content = read.decode("utf-8", "ignore" if len(read) == _MOST_BYTES else "strict")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError):
        return None
    return None if "\0" in content else content


def _pieces(content: str) -> Iterator[str]:
    """Cut at the ends of lines, where there are any."""
    longest, at = JSON_CHARACTERS if begins_json(content) else CHARACTERS, 0
    while at < len(content):
        end = at + longest
        if end < len(content):
            end = content.rfind("\n", at, end) + 1 or end
        yield content[at:end]
        at = end
