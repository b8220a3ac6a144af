"""Names that clients take, and columns of the database: of what servers may call as they like."""

import hashlib
import re

MAX_NAME = 64
"""What the strictest clients take; the protocol itself allows 128."""
_MARK = 8
_NO_NAME = re.compile(r"[^a-zA-Z0-9_-]")


def fitting(name: str) -> str:
    """The name, if clients take it. Another is cut, and has some characters more, the same ones each time: no other
    name changes what it comes to."""
    clean = _NO_NAME.sub("_", name)
    if clean == name and len(name) <= MAX_NAME:
        return name
    digest = hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()
    return f"{clean[: MAX_NAME - 1 - _MARK]}_{digest[:_MARK]}"


def tool_name(prefix: str, name: str) -> str:
    """PREFIX_NAME, as it fits."""
    return fitting(f"{prefix}_{name}")
