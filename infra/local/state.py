"""What a running mesh says of itself in DATA/mesh.json: read by the other verbs, which talk to no supervisor."""

import json
import os
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from infra.local.layout import Layout, write_private
from infra.local.lock import is_locked
from infra.local.proc import is_stopped

VERSION = 1
SILENT_SECONDS = 10.0
"""A supervisor that has not touched its state for so long does not keep it true; one that has not touched its lock
either does not run."""
UNHEARD = "silent"
SMALL_BYTES = 64 << 10


@dataclass(frozen=True, slots=True)
class ProcessState:
    """One process, as it stands. Addresses are host:port; `metrics` may be empty."""

    name: str
    service: str
    state: str
    ready: bool
    reason: str
    restarts: int
    pid: int | None
    address: str
    metrics: str
    log: str


@dataclass(frozen=True, slots=True)
class MeshState:
    """A mesh, as it stands. `phase` is starting, running, stopping or stopped, or silent, which is said of a supervisor
    by others; `started` is Unix time.

    `ca` is the file with the CA of the edge's certificate; empty where the edge speaks without TLS. `trouble` is what
    is wrong with the supervisor, or with what it says.
    """

    pid: int
    phase: str
    edge: str
    started: float
    ready: bool
    seconds_to_ready: float | None = None
    processes: tuple[ProcessState, ...] = field(default_factory=tuple)
    ca: str = ""
    trouble: str = ""

    def process(self, name: str) -> ProcessState:
        """The process of that name. KeyError where there is none."""
        for process in self.processes:
            if process.name == name:
                return process
        raise KeyError(name)


def to_json(state: MeshState) -> dict[str, Any]:
    return {"version": VERSION, **asdict(state)}


def from_json(values: dict[str, Any]) -> MeshState:
    """Raises ValueError for what is not a mesh's state."""
    try:
        fields = {name: value for name, value in values.items() if name not in ("version", "processes")}
        return MeshState(**fields, processes=tuple(ProcessState(**process) for process in values["processes"]))
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"not a mesh's state: {error}") from error


def write(path: Path, state: MeshState) -> None:
    """Replace the state file at once, so that a reader sees either the old or the new."""
    write_private(path, json.dumps(to_json(state), indent=1) + "\n")


def read(path: Path) -> MeshState | None:
    """The state as last written; None where there is none or it cannot be understood."""
    try:
        return from_json(json.loads(path.read_text("utf-8")))
    except (OSError, ValueError):
        return None


def running(layout: Layout) -> MeshState | None:
    """The state of the mesh that runs on this data directory; None where none does, whatever a file left by a crash
    may say. What a supervisor said that did not confirm it since is not taken for true: nothing is ready."""
    found = read(layout.state) if is_locked(layout.lock) else None
    age = _age(layout.state) if found else 0.0
    return found if found is None or age < SILENT_SECONDS else _unconfirmed(found, layout, age)


def _age(path: Path) -> float:
    """Seconds since the file was last written, or touched."""
    try:
        return max(0.0, time.time() - path.stat().st_mtime)
    except OSError:
        return 0.0


def _unconfirmed(found: MeshState, layout: Layout, age: float) -> MeshState:
    """Of a supervisor that lives, and cannot write; or that does not live."""
    who = f"the supervisor (process {found.pid})"
    if (silent := _age(layout.lock)) < SILENT_SECONDS:
        why = f"{who} cannot write {layout.state.name}" + (": the disk is full" if is_full(layout.root) else "")
        trouble, phase = f"{why}, so how it stands is not known since {age:.0f} s", found.phase
    else:
        stopped = ": a signal has stopped it" if is_stopped(found.pid) else ""
        trouble, phase = f"{who} has not been heard from for {silent:.0f} s{stopped}", UNHEARD
    processes = tuple(replace(each, ready=False, reason=trouble) for each in found.processes)
    return replace(found, ready=False, phase=phase, trouble=trouble, processes=processes)


def is_full(folder: Path) -> bool:
    """Whether the disk has no room left for a small file."""
    try:
        disk = os.statvfs(folder)
    except OSError:
        return False
    return disk.f_bavail * disk.f_frsize < SMALL_BYTES or (disk.f_files > 0 and disk.f_favail == 0)
