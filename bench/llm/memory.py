"""What open streams cost the orchestrator in memory."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil

from bench.kit import BenchError
from bench.kit.mesh import Mesh
from bench.kit.report import Extra
from bench.load.streams import StreamPlan, Streams

SERVICE = "orchestrator"
EVERY_SECONDS = 0.25
KIB = 1024
OPEN = (
    "open streams: all begin at once, the first time that there are so many; the memory is the orchestrator's most "
    "while they run, over what it held before, by PSS."
)


@dataclass(frozen=True, slots=True)
class Held:
    """Bytes. `pss` divides what is shared with other processes; `uss` leaves it out."""

    pss: int
    uss: int


@dataclass(frozen=True, slots=True)
class StreamMemory:
    """Of all orchestrators together: before, at most while `streams` were open, and after."""

    streams: int
    before: Held
    most: Held
    after: Held

    @property
    def each_kib(self) -> float:
        """By PSS."""
        return (self.most.pss - self.before.pss) / self.streams / KIB

    def table(self) -> Extra:
        rows = [
            (when, [held.pss / KIB / KIB, held.uss / KIB / KIB])
            for when, held in (("before", self.before), ("most", self.most), ("after", self.after))
        ]
        return Extra(f"orchestrator with {self.streams} open streams, MiB", ["", "PSS", "USS"], rows)


def measure_memory(mesh: Mesh, load: Callable[[StreamPlan], Streams], plan: StreamPlan, streams: int) -> StreamMemory:
    """Carry the plan out and watch."""
    before = _held(mesh)
    with _watched(lambda: _held(mesh)) as seen:
        load(plan)
    most = Held(max(held.pss for held in seen), max(held.uss for held in seen))
    return StreamMemory(streams, before, most, _held(mesh))


@contextmanager
def _watched(look: Callable[[], Held]) -> Iterator[list[Held]]:
    seen: list[Held] = []
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(EVERY_SECONDS):
            seen.append(look())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield seen
    finally:
        stop.set()
        watcher.join()
        seen.append(look())


def _held(mesh: Mesh) -> Held:
    """Raises BenchError where no orchestrator runs."""
    pids = [process.pid for process in mesh.state.processes if process.service == SERVICE and process.pid]
    if not pids:
        raise BenchError("the mesh has no orchestrator that runs")
    full = [psutil.Process(pid).memory_full_info() for pid in pids]
    return Held(sum(info.pss for info in full), sum(info.uss for info in full))
