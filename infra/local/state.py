"""What a running mesh says of itself in DATA/mesh.json: read by the other verbs, which talk to no supervisor."""

import json
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from infra.local.layout import Layout, write_private
from infra.local.lock import is_locked

VERSION = 1
SILENT_SECONDS = 10.0
"""A supervisor that has not touched its state for so long does not keep it true."""


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
    """A mesh, as it stands. `phase` is starting, running, stopping or stopped; `started` is Unix time.

    `ca` is the file with the CA of the edge's certificate; empty where the edge speaks without TLS.
    """

    pid: int
    phase: str
    edge: str
    started: float
    ready: bool
    seconds_to_ready: float | None = None
    processes: tuple[ProcessState, ...] = field(default_factory=tuple)
    ca: str = ""

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
    may say. What a supervisor said that has fallen silent since is not taken for true: nothing is ready."""
    found = read(layout.state) if is_locked(layout.lock) else None
    silent = _silent(layout.state) if found else 0.0
    return found if found is None or silent < SILENT_SECONDS else _unheard(found, silent)


def _silent(path: Path) -> float:
    """Seconds since the state was last written, or confirmed."""
    try:
        return max(0.0, time.time() - path.stat().st_mtime)
    except OSError:
        return 0.0


def _unheard(found: MeshState, silent: float) -> MeshState:
    why = f"the supervisor (process {found.pid}) has not been heard from for {silent:.0f} s"
    return replace(
        found, ready=False, processes=tuple(replace(each, ready=False, reason=why) for each in found.processes)
    )
