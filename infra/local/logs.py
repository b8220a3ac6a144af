"""The processes' logs: one file each, with the one before it, both bounded."""

import os
import shutil
from pathlib import Path

MOST_BYTES = 64 << 20
TAIL_BYTES = 64 << 10


def rotate(log: Path) -> None:
    """Set the log of the last mesh aside, so that this one begins with an empty file."""
    if log.exists() and log.stat().st_size:
        log.replace(_older(log))


def cut(log: Path, most: int = MOST_BYTES) -> bool:
    """Set aside what a log holds once it is longer than `most` bytes; whether that was so.

    Its writers have it open for appending, so they go on at its new beginning. A line written between the copy and
    the cut is lost.
    """
    try:
        if log.stat().st_size <= most:
            return False
    except FileNotFoundError:
        return False
    shutil.copyfile(log, _older(log))
    os.truncate(log, 0)
    return True


def tail(log: Path, lines: int = 20) -> list[str]:
    """The last lines of a log; empty where there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - TAIL_BYTES))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return []
    return text.splitlines()[-lines:]


def _older(log: Path) -> Path:
    return log.with_name(f"{log.name}.1")
