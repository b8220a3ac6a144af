"""Runs a mesh: starts its processes in order, restarts them, publishes their state, and stops them all."""

import asyncio
import contextlib
import logging
import os
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from infra.local import logs, state
from infra.local.dial import PLAIN, Dial
from infra.local.discovery import Publisher, current_replicas, write_targets
from infra.local.disk import disk_fault
from infra.local.layout import Layout
from infra.local.ports import HOST, PortBook
from infra.local.proc import is_stopped
from infra.local.process import Backoff, Process, State
from infra.local.process_host import ProcessHost, ProcessHostGone
from infra.local.spec import Spec
from infra.local.state import MeshState, ProcessState
from services.runtime.file_faults import fault

log = logging.getLogger(__name__)

DEATHS_AT_START = 3
HOUSEKEEPING_SECONDS = 10.0
HEARTBEAT_SECONDS = 2.0


class StartFailed(Exception):
    """A process did not become ready."""

    def __init__(self, name: str, reason: str, lines: Sequence[str], log: Path) -> None:
        super().__init__(f"{name} did not become ready: {reason}")
        self.name = name
        self.reason = reason
        self.lines = list(lines)
        self.log = log


@dataclass(frozen=True, slots=True)
class Limits:
    """In seconds: how long a start may take, which `ready_setting` sets, and how long a process may drain before it is
    killed."""

    ready: float = 60.0
    drain: float = 15.0
    ready_setting: str = ""


DEFAULT_LIMITS = Limits()


class Supervisor:
    """Runs the processes of `specs` until it is stopped. Enter it, `start`, `keep`; leaving it stops everything.

    `observe` sees each new state. `control` names the service that gets the endpoints of the others, if there is one,
    and `dial` how it is called. `ca` is what signed the edge's certificate; `metrics` the port of the supervisor's own
    metrics, for the targets.
    """

    def __init__(
        self, layout: Layout, specs: Sequence[Spec], edge: str, cwd: Path, *, observe: Callable[[MeshState], None],
        limits: Limits = DEFAULT_LIMITS, keep_open: tuple[int, ...] = (), control: str = "control",
        book: PortBook | None = None, dial: Dial = PLAIN, ca: Path | None = None, metrics: int = 0,
    ) -> None:  # fmt: skip
        self._layout = layout
        self._edge = edge
        self._ca = ca
        self._metrics = metrics
        self._observe = observe
        self._limits = limits
        self._phase = "starting"
        self._started = time.time()
        self._seconds_to_ready: float | None = None
        self._host = ProcessHost(keep_open, tuple(spec.sweep for spec in specs if spec.sweep))
        self._dirty = asyncio.Event()
        book = book or PortBook()
        for spec in specs:
            book.claim_all(spec.given.values())  # before any is picked
        self.processes = [
            Process(spec, self._host, book, layout.log(spec.name), cwd, self._dirty.set) for spec in specs
        ]
        self._control = next((process for process in self.processes if process.spec.service == control), None)
        self._publisher = Publisher(self._control_target, lambda: current_replicas(self.processes), dial)
        self._published_to: int | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._stack = AsyncExitStack()
        self._stop = asyncio.Event()
        self._killed = False
        self._targets = ""
        self._unwritten = ""

    async def __aenter__(self) -> "Supervisor":
        await self._stack.enter_async_context(self._host)
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            await self._stop_all()
        finally:
            await self._stack.aclose()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            for process in self.processes:
                await process.spec.probe.aclose()
            self._phase = "stopped"
            with contextlib.suppress(OSError):
                self._layout.state.unlink(missing_ok=True)
                write_targets(self._layout.targets, [], "")

    def interrupt(self) -> None:
        """Stop; a second time: kill. For signal handlers."""
        if self._stop.is_set():
            self._killed = True
            for process in self.processes:
                process.leave()
            self._host.kill()
        self._stop.set()

    async def start(self) -> bool:
        """Start everything; True once all is ready, False where it was stopped meanwhile. Raises StartFailed."""
        for process in self.processes:
            logs.rotate(process.log)
            self._tasks.append(asyncio.create_task(process.run(self._may_start(process.spec), Backoff())))
        self._tasks += [asyncio.create_task(job) for job in (self._announce(), self._housekeep(), self._beat())]
        if self._control is not None:
            self._tasks.append(asyncio.create_task(self._publisher.run()))
        until = time.monotonic() + self._limits.ready
        while not self._stop.is_set():
            self._raise_if_failed(time.monotonic() >= until)
            if all(process.ready.is_set() for process in self.processes):
                self._phase = "running"
                self._seconds_to_ready = round(time.time() - self._started, 2)
                self._publish_state()
                return True
            await asyncio.sleep(0.05)
        return False

    async def keep(self) -> None:
        """Return when stopped. Raises ProcessHostGone."""
        stop = asyncio.create_task(self._stop.wait())
        gone = asyncio.create_task(self._host.gone.wait())
        await asyncio.wait((stop, gone, *self._tasks), return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        gone.cancel()
        if not self._killed:
            self._raise_if_broken()

    def state(self) -> MeshState:
        """The mesh as it stands."""
        return MeshState(
            pid=os.getpid(),
            phase=self._phase,
            edge=self._edge,
            ca=str(self._ca or ""),
            started=self._started,
            ready=all(process.ready.is_set() for process in self.processes),
            seconds_to_ready=self._seconds_to_ready,
            processes=tuple(_process_state(process) for process in self.processes),
            trouble=self._unwritten,
        )

    def _raise_if_broken(self) -> None:
        if self._host.gone.is_set():
            raise ProcessHostGone("the process that owns the mesh's processes was killed, and they with it")
        for task in self._tasks:
            if task.done() and not task.cancelled() and (error := task.exception()):
                raise error

    def _raise_if_failed(self, late: bool) -> None:
        self._raise_if_broken()
        for process in sorted(self.processes, key=lambda process: process.spec.rank):
            if process.deaths_before_ready >= DEATHS_AT_START or (late and not process.ready.is_set()):
                lines = process.last_lines()
                unready = f"{process.health.reason or 'not ready'} after {self._limits.ready:g} s"
                if self._limits.ready_setting:
                    unready += f", the limit that is set by {self._limits.ready_setting}: raise it on a slow machine"
                reason = process.ending if process.state == State.RESTARTING else unready
                reason += process.spec.why(lines)
                if (full := disk_fault(self._layout.root)) and full not in reason:
                    reason += f"; {full}"
                raise StartFailed(process.spec.name, reason, lines, process.log)

    async def _may_start(self, spec: Spec) -> None:
        for process in self.processes:
            if process.spec.service in spec.after:
                await process.ready.wait()

    async def _stop_all(self) -> None:
        """Stop from the edge inward: it takes nothing new, and lives until the gateways have answered what there is;
        what others call stops after them."""
        self._phase = "stopping"
        self._publish_state()
        await asyncio.gather(*(process.quiesce() for process in self.processes))
        ordered = sorted(self.processes, key=lambda process: -process.spec.rank)
        for _, group in groupby(ordered, key=lambda process: process.spec.rank):
            if self._host.gone.is_set():
                return
            await asyncio.gather(*(process.stop(self._limits.drain) for process in group))

    async def _announce(self) -> None:
        """Pass each change on, to the state file, to the observer and to control."""
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            self._publish_state()
            if self._control is not None and self._control.ready.is_set():
                if self._control.pid != self._published_to:
                    self._published_to = self._control.pid
                    self._publisher.forget()
                self._publisher.wake()

    def _publish_state(self) -> None:
        before, self._unwritten = self._unwritten, ""
        try:
            state.write(self._layout.state, self.state())
            self._targets = write_targets(self._layout.targets, self.processes, self._targets, self._metrics)
        except OSError as error:  # a full disk must not take the mesh down
            self._unwritten = f"cannot write {self._layout.state.name}: {fault(error)}"
            if self._unwritten != before:
                log.error("the supervisor %s", self._unwritten)  # noqa: TRY400 (the message says it all)
        self._observe(self.state())

    async def _beat(self) -> None:
        """Show that somebody keeps the state file true, by the file's time, and that somebody lives, by the lock's,
        which takes no space; wake the reaper, without which nothing can be started."""
        while True:
            await asyncio.sleep(HEARTBEAT_SECONDS)
            if is_stopped(self._host.pid):
                os.kill(self._host.pid, signal.SIGCONT)
            with contextlib.suppress(OSError):
                os.utime(self._layout.lock)
            if self._unwritten:
                self._publish_state()  # what the file says is not what is
                continue
            with contextlib.suppress(OSError):
                os.utime(self._layout.state)

    async def _housekeep(self) -> None:
        while True:
            await asyncio.sleep(HOUSEKEEPING_SECONDS)
            for process in self.processes:
                await asyncio.to_thread(logs.cut, process.log)

    def _control_target(self) -> str:
        return self._control.target if self._control else ""


def _process_state(process: Process) -> ProcessState:
    metrics = process.ports.get(process.spec.metrics[0])
    return ProcessState(
        name=process.spec.name,
        service=process.spec.service,
        state=process.state,
        ready=process.ready.is_set(),
        reason=process.health.reason,
        restarts=process.restarts,
        pid=process.pid,
        address=process.target,
        metrics=f"{HOST}:{metrics}" if metrics else "",
        log=str(process.log),
    )


def handle_signals(supervisor: Supervisor) -> None:
    """Ctrl-C, SIGTERM and a closed terminal stop the mesh."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, supervisor.interrupt)
