"""One process of the mesh: started, asked how it is, and started again when it dies."""

import asyncio
import contextlib
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from infra.local import logs
from infra.local.limits import refusal
from infra.local.ports import PortBook, is_free
from infra.local.probes import LIMIT, answers
from infra.local.proc import ChildWatch, is_stopped
from infra.local.process_host import Child, ProcessHost, ProcessHostGone
from infra.local.spec import SILENT, Health, Spec
from services.runtime.children import ending

STARTING_POLL = 0.1
RUNNING_POLL = 1.0
OUT_SECONDS = 4.0
"""A process that was ready and is not alive for so long gets no new calls."""
KILL_SECONDS = 15.0
"""One that is not alive for so long is killed, and started again."""
MOST_COUNTED = LIMIT + RUNNING_POLL + 1.0
"""Of the time between two checks: in more, it was this process that did not run."""
FIRST_BACKOFF = 0.2
MOST_BACKOFF = 10.0
HEALTHY_SECONDS = 30.0


class State(StrEnum):
    WAITING = "waiting"
    STARTING = "starting"
    RUNNING = "running"
    RESTARTING = "restarting"
    STOPPING = "stopping"
    STOPPED = "stopped"


class Fate(StrEnum):
    """Why the supervisor kills a process."""

    SLOW_START = "slow_start"
    SILENT = "silent"
    CHILD_DIED = "child_died"


class Backoff:
    """Doubles the wait before a restart from FIRST_BACKOFF to MOST_BACKOFF with each death; starts over after a life of
    HEALTHY_SECONDS."""

    def __init__(
        self, first: float = FIRST_BACKOFF, most: float = MOST_BACKOFF, healthy: float = HEALTHY_SECONDS
    ) -> None:
        self._first = first
        self._most = most
        self._healthy = healthy
        self._next = first

    def after(self, healthy_for: float) -> float:
        """Seconds to wait, given for how long the process that died was healthy."""
        if healthy_for >= self._healthy:
            self._next = self._first
        delay = self._next
        self._next = min(self._most, delay * 2)
        return delay


class Process:
    """Keeps the process that `spec` describes running, and knows how it stands.

    `changed` is called after each change of what is public here.
    """

    def __init__(
        self, spec: Spec, host: ProcessHost, book: PortBook, log: Path, cwd: Path, changed: Callable[[], None]
    ) -> None:
        self.spec = spec
        self.log = log
        self.state = State.WAITING
        self.health = Health(False, "not started")
        self.ports = {name: spec.given.get(name) or book.take() for name in spec.ports}
        self.listening = False
        self.in_rotation = False
        self.ending = ""
        self.restarts = 0
        self.deaths_before_ready = 0
        self.kills: Counter[str] = Counter(dict.fromkeys(Fate, 0))
        self._host = host
        self._book = book
        self._cwd = cwd
        self._changed = changed
        self._child: Child | None = None
        self._was_ready = False
        self._ready_since = 0.0
        self._dead_for = 0.0
        self._stopped_for = 0.0
        self._has_answered = False
        self._closed = False
        self._children: ChildWatch | None = None
        self._log_from = 0
        self._stopping = False
        self._stop_waiting = asyncio.Event()
        self.ready = asyncio.Event()

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child else None

    @property
    def target(self) -> str:
        """Its address, as gRPC writes it."""
        return self.spec.target(self.ports)

    async def run(self, may_start: Awaitable[object], backoff: Backoff) -> None:
        """Start, watch and restart until `stop`."""
        self._set(State.WAITING, Health(False, f"waits for {', '.join(self.spec.after)}" if self.spec.after else ""))
        await may_start
        while not self._stopping:
            reason = self.ending = await self._live()
            if self._stopping:
                break
            healthy_for = time.monotonic() - self._ready_since if self._ready_since else 0.0
            delay = backoff.after(healthy_for)
            self.restarts += 1
            self.deaths_before_ready += not self._was_ready
            self._set(State.RESTARTING, Health(False, f"{reason}; starts again in {delay:.1f} s"))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await self._stop_waiting.wait()
        self._set(State.STOPPED, Health(False, "stopped"))

    async def quiesce(self) -> None:
        """Have it take no new calls, where it can do so, and go on with those under way until it is stopped. It is not
        started again."""
        if self.spec.quiesce is not None and self._child is not None:
            self.leave()
            await self.spec.quiesce()

    async def stop(self, drain_seconds: float) -> None:
        """Ask it to end; kill it where it has not within its own limit, or `drain_seconds` where it has none. It is not
        started again."""
        child = self._child
        self.leave()
        if child is None or child.exited.done():
            return
        self._host.signal(child, signal.SIGTERM)
        try:
            async with asyncio.timeout(drain_seconds if self.spec.drain is None else self.spec.drain):
                await asyncio.shield(child.exited)
        except TimeoutError:
            self._host.signal(child, signal.SIGKILL)
            await child.exited

    def leave(self) -> None:
        """It is not started again."""
        self._stopping = True
        self._stop_waiting.set()
        if self._child is not None and not self._child.exited.done():
            self.ready.clear()
            self._set(State.STOPPING, Health(False, "draining"))

    async def _live(self) -> str:
        """One life of the process; returns how it ended."""
        self._was_ready, self._has_answered, self._ready_since = False, False, 0.0
        self._closed = False
        self._dead_for = self._stopped_for = 0.0
        self._children = ChildWatch(self.spec.children) if self.spec.children else None
        self._log_from = logs.size(self.log)
        self._set(State.STARTING, Health(False, "starting"))
        try:
            self._renew_ports()
            command = self.spec.command(self.ports)
            self._child = child = await self._host.start(command, self._cwd, self.log)
        except ProcessHostGone:
            raise
        except Exception as error:  # noqa: BLE001 (whatever a program needs and lacks, it is tried again and reported)
            return f"cannot be started: {refusal(error) or error}"
        if self._stopping:
            self._host.signal(child, signal.SIGTERM)
        self._changed()
        watch = asyncio.create_task(self._watch())
        try:
            either: tuple[asyncio.Future[Any], ...] = (child.exited, watch)
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if watch.done():
                await watch  # what goes wrong in it must not be lost
            code = await asyncio.shield(child.exited)
        finally:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)
            self._child = None
            self.listening = self.in_rotation = False
            self.ready.clear()
        why = self._why_lost if self._fate else logs.cannot_start(logs.since(self.log, self._log_from))
        return f"{why}; {ending(code)}" if self._fate else ": ".join(filter(None, (ending(code), why)))

    @property
    def _fate(self) -> Fate | None:
        """Why it is to be killed: it has not been alive for longer than anybody waits for it."""
        if self.health.lost:
            return Fate.CHILD_DIED
        if (self._dead_for if self._has_answered else self._stopped_for) >= self._patience:
            return Fate.SILENT
        return Fate.SLOW_START if self._dead_for >= self.spec.start and not self._has_answered else None

    @property
    def _patience(self) -> float:
        """Seconds without an answer. One that takes no connections any more may be draining, as whoever has sent it
        SIGTERM would have it."""
        return max(KILL_SECONDS, self.spec.drain or 0.0) if self._closed else KILL_SECONDS

    @property
    def _why_lost(self) -> str:
        match self._fate:
            case Fate.CHILD_DIED:
                return self.health.reason
            case Fate.SLOW_START:
                return f"{self.health.reason}, {self._dead_for:.0f} s after its start"
        if self._has_answered:
            return f"{self.health.reason}, for {self._dead_for:.0f} s"
        return f"stopped by a signal, for {self._stopped_for:.0f} s"

    async def _watch(self) -> None:
        """Keep `health` true while the process lives; end one that does not come back to life."""
        seen = time.monotonic()
        while True:
            address = self.spec.socket or self.ports[self.spec.ports[0]]
            listening = self.listening or await answers(address)
            health = self._with_children(await self.spec.probe.check(self.ports))
            self._closed = listening and not health.alive and not await answers(address)
            before, seen = seen, time.monotonic()
            self._see(listening, health, seen - before)
            if (fate := self._fate) and self._child is not None and not self._stopping:
                self.kills[fate] += 1
                logs.note(self.log, f"killed, to be started again: {self._why_lost}", self.spec.name)
                self._host.signal(self._child, signal.SIGKILL)  # a stopped process takes no other
                return
            await asyncio.sleep(RUNNING_POLL if self._was_ready and health.ready else STARTING_POLL)

    def _with_children(self, health: Health) -> Health:
        if self._children is None or self._child is None:
            return health
        below = self._children.check(self._child.pid)
        return health if below.alive else below

    def _see(self, listening: bool, health: Health, seconds: float) -> None:
        """Take in what was found, so long after the last time. What a draining process says is no news."""
        if self._stopping:
            return
        seconds = min(seconds, MOST_COUNTED)
        self._dead_for = 0.0 if health.alive else self._dead_for + seconds
        self._stopped_for = self._stopped_for + seconds if self._child and is_stopped(self._child.pid) else 0.0
        self._has_answered |= listening and health.alive
        if self._was_ready and health.reason == SILENT:
            health = replace(health, reason="does not answer")
        in_rotation = listening and self._dead_for < OUT_SECONDS
        changed = (listening, in_rotation) != (self.listening, self.in_rotation)
        self.listening, self.in_rotation = listening, in_rotation
        if health.ready and not self.ready.is_set():
            self._was_ready = True
            self.deaths_before_ready = 0
            self._ready_since = time.monotonic()
            self.ready.set()
        elif not health.ready:
            self.ready.clear()
        state = State.RUNNING if listening else State.STARTING
        if changed or (state, health) != (self.state, self.health):
            self._set(state, health)

    def _set(self, state: State, health: Health) -> None:
        self.state, self.health = state, health
        self._changed()

    def _renew_ports(self) -> None:
        """Pick anew each port that another program has taken meanwhile."""
        for name, port in self.ports.items():
            if name not in self.spec.given and not is_free(port):
                self._book.give_back(port)
                self.ports[name] = self._book.take()

    def last_lines(self, lines: int = 20) -> list[str]:
        """The end of its log."""
        return logs.tail(self.log, lines)
