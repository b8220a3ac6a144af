"""The parts of contents, as faces of other forms write them in a chat completion: how many, and what they make."""

from collections.abc import Sequence
from typing import Any

from gateway.faces.http.openai.errors import BadRequest
from services.llm.openai.chunks import Json
from services.llm.wires.prompt_cache import MARK

MOST_PARTS = 10_000
"""Of all contents of a request, the messages or items themselves included."""
# Under what names messages, items and blocks have others within them.
_HOLDING = ("content", "output", "summary", "source")


def check(given: Any, path: str) -> None:
    """Count before anything is read. Raises BadRequest for too many."""
    left, count = [given], 0
    while left:
        one = left.pop()
        if isinstance(one, list):
            count += len(one)
            if count > MOST_PARTS:
                raise BadRequest(f"{path} has more than {MOST_PARTS} parts in all", path)
            left += one
        elif isinstance(one, dict):
            left += [inner for name in _HOLDING if isinstance(inner := one.get(name), list | dict)]


def of(text: str) -> Json:
    """A text as a part."""
    return {"type": "text", "text": text}


def marked(part: Json, block: Json) -> Json:
    """A part with the breakpoint of a provider's cache that its block has, if it has one."""
    return part | {MARK: block[MARK]} if isinstance(block.get(MARK), dict) else part


def content(parts: Sequence[Json]) -> Any:
    """Parts as a content: one text as such. Several stay apart, for guards look over where they meet."""
    if len(parts) == 1 and parts[0]["type"] == "text" and MARK not in parts[0]:
        return parts[0]["text"]
    return list(parts) or ""
