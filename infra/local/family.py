"""The children of a process, as Linux tells of them in /proc."""

from collections.abc import Iterator
from pathlib import Path

PROC = Path("/proc")
STOPPED = "T"


def stopped_child(pid: int) -> int | None:
    """The id of a child of the process that a signal has stopped, as SIGSTOP does; None where there is none."""
    return next((child for child in _children(pid) if is_stopped(child)), None)


def is_stopped(pid: int) -> bool:
    """Whether a signal has stopped the process."""
    return _state(pid) == STOPPED


def _children(pid: int) -> Iterator[int]:
    for listed in PROC.glob(f"{pid}/task/*/children"):
        try:
            yield from map(int, listed.read_text().split())
        except OSError:  # the thread, or the whole process, is gone
            continue


def _state(pid: int) -> str:
    try:
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""
