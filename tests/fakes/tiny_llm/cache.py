"""Where made checkpoints are kept: one folder for each content, made once however many processes ask."""

import ast
import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

LIBRARIES = ("torch", "transformers", "tokenizers")


def home() -> Path:
    """The folder of all checkpoints, in the user's cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "headworks" / "checkpoints"


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


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds `path` against other processes; waits for its turn."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def kept(name: str, key: str, make: Callable[[Path], None], at: Path | None = None) -> Path:
    """The folder `name`-`key`, filled by `make` unless it is there already. It appears whole or not at all."""
    at = at or home()
    folder = at / f"{name}-{key}"
    if folder.is_dir():
        return folder
    at.mkdir(parents=True, exist_ok=True)
    with locked(at / f"{name}.lock"):
        if folder.is_dir():
            return folder
        for left in at.glob(f".{name}-*"):  # by a process that was killed
            shutil.rmtree(left, ignore_errors=True)
        under_way = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=at))
        try:
            make(under_way)
            under_way.chmod(0o755)
            under_way.rename(folder)
        finally:
            shutil.rmtree(under_way, ignore_errors=True)
    return folder
