"""The supervisor's side of the reaper: children as awaitable objects."""

import asyncio
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path

from infra.local.limits import PROCESS_LIMITS, SPACE_FAULTS, refusal
from infra.local.spec import Command

REAPER = Path(__file__).with_name("child_reaper.py")
LINE_LIMIT = 1 << 20


class SpawnFailed(Exception):
    """A program could not be started at all."""


class ProcessHostGone(Exception):
    """The reaper died, and the mesh's processes with it."""


@dataclass
class Child:
    """A running process. `exited` gives its exit code; a negative one is the signal that ended it."""

    number: int
    pid: int
    exited: "asyncio.Future[int]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class ProcessHost:
    """Starts processes through a reaper and reports their ends. Enter it to start the reaper.

    The reaper holds the file descriptors in `keep_open` for as long as it lives, and removes in the end the files
    whose paths begin with one of `sweep`.
    """

    def __init__(self, keep_open: tuple[int, ...] = (), sweep: tuple[str, ...] = ()) -> None:
        self._keep_open = keep_open
        self._sweep = sweep
        self._reaper: asyncio.subprocess.Process | None = None
        self._listener: asyncio.Task[None] | None = None
        self._starting: dict[int, asyncio.Future[int]] = {}
        self._children: dict[int, Child] = {}
        self._count = 0
        self._killed = False
        self.gone = asyncio.Event()

    async def __aenter__(self) -> "ProcessHost":
        self._reaper = await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-S", "-E", str(REAPER), *map(str, self._keep_open), *self._sweep,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=LINE_LIMIT,
            pass_fds=self._keep_open, start_new_session=True,
        )  # fmt: skip
        self._listener = asyncio.create_task(self._listen())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Let the reaper end, which kills whatever still runs."""
        if self._reaper is None or self._reaper.stdin is None or self._listener is None:
            return
        self._reaper.stdin.close()
        await self._reaper.wait()
        await self._listener

    @property
    def pid(self) -> int:
        """The reaper's process id."""
        return self._reaper.pid if self._reaper else 0

    async def start(self, command: Command, cwd: Path, log: Path) -> Child:
        """Start a process whose output goes to `log`. Raises SpawnFailed or ProcessHostGone."""
        self._count += 1
        number = self._count
        started = self._starting[number] = asyncio.get_running_loop().create_future()
        order = {"start": number, "argv": list(command.argv), "env": dict(command.env)}
        self._send({**order, "cwd": str(cwd), "log": str(log)})
        await started
        return self._children[number]

    def signal(self, child: Child, number: int) -> None:
        """Send a signal to a child; SIGKILL goes to all of its process group. After `kill` there is nothing to send."""
        if not child.exited.done() and not self._killed:
            self._send({"signal": number, "id": child.number})

    def kill(self) -> None:
        """Kill everything at once, without waiting."""
        self._killed = True
        if self._reaper and self._reaper.stdin:
            self._reaper.stdin.close()

    def _send(self, order: dict[str, object]) -> None:
        if self._reaper is None or self._reaper.stdin is None or self._reaper.stdin.is_closing():
            raise ProcessHostGone("the reaper is not running")
        self._reaper.stdin.write(json.dumps(order).encode() + b"\n")

    async def _listen(self) -> None:
        if self._reaper is None or self._reaper.stdout is None:
            raise ProcessHostGone("the reaper is not running")
        async for line in self._reaper.stdout:
            self._receive(json.loads(line))
        self.gone.set()
        for started in self._starting.values():
            started.set_exception(ProcessHostGone("the reaper is gone"))
        for child in list(self._children.values()):
            child.exited.set_result(-9)
        self._children.clear()

    def _receive(self, event: dict[str, object]) -> None:
        match event:
            case {"started": int(number), "pid": int(pid)}:
                self._children[number] = Child(number, pid)
                self._starting.pop(number).set_result(pid)
            case {"failed": int(number), "error": str(error), "errno": int(code)}:
                limit = refusal(OSError(code, error)) if code in PROCESS_LIMITS or code in SPACE_FAULTS else None
                self._starting.pop(number).set_exception(SpawnFailed(limit or error))
            case {"exited": int(number), "code": int(code)}:
                self._children.pop(number).exited.set_result(code)
