"""The processes' logs: one file each, with the one before it, both bounded."""

import contextlib
import json
import os
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from services.runtime.errors import CANNOT_START

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


def size(log: Path) -> int:
    """Its bytes so far; 0 where there is none."""
    try:
        return log.stat().st_size
    except OSError:
        return 0


def since(log: Path, start: int) -> list[str]:
    """The lines from byte `start` on, or the end of what there is of them."""
    if (now := size(log)) < start:  # it was cut meanwhile
        start = 0
    try:
        with log.open("rb") as file:
            file.seek(max(start, now - TAIL_BYTES))
            return file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return []


def cannot_start(lines: Sequence[str]) -> str:
    """Why a service says that it cannot start; empty where it does not say."""
    for line in reversed(lines):
        try:
            message = json.loads(line)["message"]
        except (ValueError, TypeError, KeyError):
            continue
        if isinstance(message, str) and message.startswith(CANNOT_START):
            return message.removeprefix(CANNOT_START)
    return ""


def note(log: Path, message: str, process: str) -> None:
    """Add a line of the supervisor's own to the log of a process."""
    entry = {
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"), "level": "warning", "service": "supervisor",
        "logger": __name__, "message": message, "process": process,
    }  # fmt: skip
    with contextlib.suppress(OSError), log.open("a", encoding="utf-8") as file:  # a full disk takes none
        file.write(json.dumps(entry) + "\n")


def _older(log: Path) -> Path:
    return log.with_name(f"{log.name}.1")
