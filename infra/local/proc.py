"""What the kernel says of processes, in /proc: states, and the children that a process cannot do without."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from infra.local.spec import Children, Health

PROC = Path("/proc")
STOPPED = "T"
"""The state of a process that a signal has stopped."""
DEAD = "ZX"
"""The states of one that has ended and that nobody has reaped."""


@dataclass(frozen=True, slots=True)
class Stat:
    """Of a process: its program's name, at most 15 characters of it, its state and its parent."""

    name: str
    state: str
    parent: int


def is_stopped(pid: int) -> bool:
    """Whether a signal has stopped the process, as SIGSTOP does."""
    found = stat(pid)
    return found is not None and found.state == STOPPED


def stat(pid: int) -> Stat | None:
    """None where there is no such process."""
    try:
        head, _, tail = (PROC / str(pid) / "stat").read_text("utf-8", "replace").rpartition(")")
    except OSError:
        return None
    state, parent, *_ = tail.split()
    return Stat(head.partition("(")[2], state, int(parent))


class ChildWatch:
    """The children of one life of a process. One that was seen once has to be there, and run, from then on: its parent
    may answer for itself all the same, and need not reap what has died."""

    def __init__(self, needed: Children) -> None:
        self._needed = needed
        self._seen: dict[int, str] = {}

    def check(self, pid: int) -> Health:
        """Alive where all are; `lost` where one has died."""
        for child in _children(pid):
            found = stat(child)
            if child not in self._seen and found is not None and found.name == self._needed.program:
                self._seen[child] = self._needed.named(_arguments(child)) or self._needed.program
        states = {child: stat(child) for child in self._seen}
        for child, now in states.items():
            if now is None or now.state in DEAD or now.parent != pid:
                return Health(False, f"its process {self._seen[child]} ({child}) has died", alive=False, lost=True)
        for child, now in states.items():
            if now is not None and now.state == STOPPED:
                return Health(False, f"its process {self._seen[child]} ({child}) is stopped", alive=False)
        return Health(True)


def _children(pid: int) -> Iterator[int]:
    for listed in PROC.glob(f"{pid}/task/*/children"):
        try:
            yield from map(int, listed.read_text().split())
        except OSError:  # the thread, or the whole process, is gone
            continue


def _arguments(pid: int) -> str:
    try:
        return (PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
    except OSError:
        return ""
