"""What each process of a mesh uses: processor time, memory, and what a piece of work costs it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from bench.kit.report import Extra
from infra.local.state import MeshState

SUPERVISOR = "supervisor"
STUB = "triton_python_backend_stub"
MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class ProcessMemory:
    """In MiB. `pss` divides pages that processes share among them, so that sums are true; `rss` counts them in each."""

    pss: float
    rss: float


def memory(state: MeshState) -> dict[str, ProcessMemory]:
    """By process. What has ended meanwhile is left out."""
    usage: dict[str, ProcessMemory] = {}
    for name, process in _family(state):
        try:
            held = process.memory_full_info()
        except psutil.Error:
            continue
        before = usage.get(name, ProcessMemory(0, 0))
        usage[name] = ProcessMemory(before.pss + held.pss / MIB, before.rss + held.rss / MIB)
    return usage


def processor(state: MeshState) -> dict[str, float]:
    """By process: the seconds of one core used since it began."""
    usage: dict[str, float] = {}
    for name, process in _family(state):
        try:
            times = process.cpu_times()
        except psutil.Error:
            continue
        usage[name] = usage.get(name, 0.0) + times.user + times.system
    return usage


def tree_processor(pid: int) -> dict[str, float]:
    """Seconds of one core used by a process and its descendants, by their names."""
    usage: dict[str, float] = {}
    root = psutil.Process(pid)
    for process in (root, *root.children(recursive=True)):
        try:
            times, name = process.cpu_times(), process.name()
        except psutil.Error:
            continue
        usage[name] = usage.get(name, 0.0) + times.user + times.system
    return usage


def spent(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """Seconds by process between two readings."""
    return {name: max(seconds - before.get(name, 0.0), 0.0) for name, seconds in after.items()}


@dataclass
class Costs:
    """Processor seconds by process over all rounds of a case, and for how many pieces of work."""

    seconds: dict[str, float] = field(default_factory=dict)
    pieces: int = 0

    def add(self, seconds: Mapping[str, float], pieces: int) -> None:
        for name, value in seconds.items():
            self.seconds[name] = self.seconds.get(name, 0.0) + value
        self.pieces += pieces

    def each(self) -> dict[str, float]:
        """Milliseconds a piece, by process."""
        return {name: value / self.pieces * 1000 for name, value in self.seconds.items()} if self.pieces else {}


def cost_table(title: str, by_case: Mapping[str, Costs]) -> Extra:
    """A row per process, the dearest first, and a column per case."""
    columns = [costs.each() for costs in by_case.values()]
    names = {name for column in columns for name in column}
    ordered = sorted(names, key=lambda name: -max(column.get(name, 0.0) for column in columns))
    rows = [(name, [column.get(name, 0.0) for column in columns]) for name in ordered]
    rows.append(("all", [sum(column.values()) for column in columns]))
    return Extra(title, ["process", *by_case], rows)


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
