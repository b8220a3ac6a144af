"""Where made checkpoints are kept: one folder for each content, made once however many processes ask."""

import fcntl
import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from services.models.settings import cache_home

DIGESTS = "sha256.json"


def home() -> Path:
    """The folder of all checkpoints, in the user's cache."""
    return cache_home() / "headworks" / "checkpoints"


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds `path` against other processes; waits for its turn."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def always(_: Path) -> bool:
    return True


def kept(
    name: str, key: str, make: Callable[[Path], None], at: Path | None = None, sound: Callable[[Path], bool] = always
) -> Path:
    """The folder `name`-`key`, filled by `make` unless it is there already and `sound`. It appears whole or not at
    all."""
    at = at or home()
    folder = at / f"{name}-{key}"
    if folder.is_dir() and sound(folder):
        return folder
    at.mkdir(parents=True, exist_ok=True)
    with locked(at / f"{name}.lock"):
        if folder.is_dir() and sound(folder):
            return folder
        for left in at.glob(f".{name}-*"):  # by a process that was killed
            shutil.rmtree(left, ignore_errors=True)
        under_way = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=at))
        try:
            make(under_way)
            under_way.chmod(0o755)
            if folder.is_dir():
                folder.rename(Path(tempfile.mkdtemp(prefix=f".{name}-", dir=at)) / "broken")
            under_way.rename(folder)
        finally:
            for left in at.glob(f".{name}-*"):
                shutil.rmtree(left, ignore_errors=True)
    return folder


def seal(folder: Path) -> None:
    """Write down what each file of the folder holds."""
    (folder / DIGESTS).write_text(json.dumps(_digests(folder), indent=1) + "\n")


def unchanged(folder: Path) -> bool:
    """Whether the folder holds what was sealed, no more and no less."""
    try:
        sealed = json.loads((folder / DIGESTS).read_text("utf-8"))
    except (OSError, ValueError):
        return False
    return bool(sealed == _digests(folder))


def digest_of(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / DIGESTS)
    return {path.relative_to(folder).as_posix(): digest_of(path) for path in files}
