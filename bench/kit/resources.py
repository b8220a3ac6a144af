"""What each process of a mesh uses: processor time and memory."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from infra.local.state import MeshState

SUPERVISOR = "supervisor"
STUB = "triton_python_backend_stub"
MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Memory:
    """In MiB. `pss` divides pages that processes share among them, so that sums are true; `rss` counts them in each."""

    pss: float
    rss: float


def memory(state: MeshState) -> dict[str, Memory]:
    """By process. What has ended meanwhile is left out."""
    found: dict[str, Memory] = {}
    for name, process in _family(state):
        try:
            held = process.memory_full_info()
        except psutil.Error:
            continue
        before = found.get(name, Memory(0, 0))
        found[name] = Memory(before.pss + held.pss / MIB, before.rss + held.rss / MIB)
    return found


def processor(state: MeshState) -> dict[str, float]:
    """By process: the seconds of one core used since it began."""
    found: dict[str, float] = {}
    for name, process in _family(state):
        try:
            times = process.cpu_times()
        except psutil.Error:
            continue
        found[name] = found.get(name, 0.0) + times.user + times.system
    return found


def tree_processor(pid: int) -> dict[str, float]:
    """Seconds of one core used by a process and its descendants, by their names."""
    found: dict[str, float] = {}
    root = psutil.Process(pid)
    for process in (root, *root.children(recursive=True)):
        try:
            times, name = process.cpu_times(), process.name()
        except psutil.Error:
            continue
        found[name] = found.get(name, 0.0) + times.user + times.system
    return found


def spent(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """Seconds by process between two readings."""
    return {name: max(seconds - before.get(name, 0.0), 0.0) for name, seconds in after.items()}


def _family(state: MeshState) -> Iterator[tuple[str, psutil.Process]]:
    """Every process of the mesh, with the name that it is shown under."""
    names = {process.pid: process.name for process in state.processes if process.pid}
    try:
        root = psutil.Process(state.pid)
        members = [root, *root.children(recursive=True)]
    except psutil.Error:
        return
    seen = {member.pid for member in members}
    members += [psutil.Process(pid) for pid in names if pid not in seen and psutil.pid_exists(pid)]
    for member in members:
        yield _name(member, names), member


def _name(process: psutil.Process, names: Mapping[int, str]) -> str:
    """The name of the mesh's process that it is or belongs to; a model's worker has its own."""
    try:
        line = process.cmdline()
        ancestors = [process.pid, *(parent.pid for parent in process.parents())]
    except psutil.Error:
        return SUPERVISOR
    owner = next((names[pid] for pid in ancestors if pid in names), SUPERVISOR)
    if line and Path(line[0]).name == STUB:
        return f"{owner} {_model(line)}"
    return owner


def _model(line: list[str]) -> str:
    """Which model a worker of Triton runs: the folder above the version in its model's path."""
    script = next((Path(part) for part in line[1:] if part.endswith("model.py")), None)
    return script.parent.parent.name if script else "worker"
