"""Where peers are installed: apart from this project, and kept from run to run."""

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.kit import BenchError

INSTALL_SECONDS = 1200.0
SHOWN = 2000


def place(name: str, version: str) -> Path:
    """The folder of a peer's version."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "headworks" / "peers" / f"{name}-{version}"


def installed(folder: Path, commands: Sequence[Sequence[str]], say: Callable[[str], None]) -> Path:
    """The folder with the peer in it: the commands are run in it once. Raises BenchError."""
    done = folder / ".installed"
    if done.exists():
        return folder
    say(f"installing a peer in {folder}; this takes a minute or two")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for command in commands:
        _run(command, folder)
    done.touch()
    return folder


def _run(command: Sequence[str], folder: Path) -> None:
    try:
        ended = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BenchError(f"{' '.join(command)} failed: {error}; leave the peer out with --peers") from error
    if ended.returncode:
        raise BenchError(f"{' '.join(command)} failed:\n{(ended.stdout + ended.stderr)[-SHOWN:]}")
