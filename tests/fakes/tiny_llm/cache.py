"""What a made checkpoint depends on: its key."""

import ast
import hashlib
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

LIBRARIES = ("torch", "transformers", "tokenizers")


def key_of(files: Sequence[Path], text: str = "") -> str:
    """Changes with `text`, with what a file says, but for layout and comments, and with the version of a library that
    takes part."""
    digest = hashlib.sha256("".join(f"{name}=={version(name)}\n" for name in LIBRARIES).encode())
    for path in sorted(files):
        digest.update(f"{path.name} {meaning(path)}\n".encode())
    digest.update(text.encode())
    return digest.hexdigest()[:16]


def meaning(path: Path) -> str:
    """A Python file without its layout, comments and docstrings; any other as it is."""
    text = path.read_text("utf-8")
    if path.suffix != ".py":
        return text
    tree = ast.parse(text)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [one for one in body if not is_text(one)]  # type: ignore[attr-defined]
    return ast.dump(tree)


def is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
