"""Files that are their owner's alone."""

import os
from pathlib import Path

PREFIX = "hw_"


class BadKeyFile(Exception):
    """A key file is there, but what it holds is not a key."""


def write_private(path: Path, text: str) -> None:
    """Replace `path` by a file of mode 600, never seen half written."""
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    new.replace(path)


def read_dev_key(path: Path) -> str:
    """The key in `path`. Raises BadKeyFile, or OSError where it cannot be read."""
    key = path.read_text("utf-8", "replace").strip()
    if not key.startswith(PREFIX) or not key.isascii() or not key.isprintable() or " " in key:
        raise BadKeyFile(f"{path} does not hold one key beginning with {PREFIX}; remove it and start the mesh anew")
    return key
