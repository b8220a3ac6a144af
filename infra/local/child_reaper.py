"""Owns the mesh's processes: starts them, reports their ends, and leaves none behind.

The supervisor runs this file as a process of its own, on the standard library alone. It is small and has one
thread, so it may fork, and it outlives a supervisor that is killed. Its standard input says what to do, one JSON
object a line:

    {"start": ID, "argv": […], "env": {…}, "cwd": PATH, "log": PATH}
    {"signal": NUMBER, "id": ID}        to the process; SIGKILL to its whole group

and its standard output reports the outcome:

    {"started": ID, "pid": PID}   {"failed": ID, "error": TEXT}   {"exited": ID, "code": CODE}

where a negative CODE is the signal that ended the process. At the end of its input, which is also the supervisor's
death, it kills all that it started, with all their descendants, and ends.
"""

import contextlib
import ctypes
import json
import os
import select
import signal
import sys

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
LIBC = ctypes.CDLL(None, use_errno=True)
PRIVATE = 0o077
"""The umask of all that is started: what a process writes is its owner's alone."""
RESET = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE, signal.SIGCHLD)


class ChildReaper:
    """Process ids by the supervisor's ids, and the loop that keeps them true."""

    def __init__(self) -> None:
        self._pids: dict[int, int] = {}
        self._ids: dict[int, int] = {}

    def serve(self, wakeup: int) -> None:
        """Do what standard input says until it ends."""
        rest = b""
        while True:
            ready, _, _ = select.select([0, wakeup], [], [])
            if wakeup in ready:
                os.read(wakeup, 4096)
            if 0 in ready:
                data = os.read(0, 1 << 16)
                if not data:
                    return
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    self._obey(json.loads(line))
            self._reap()

    def end(self) -> None:
        """Kill every descendant: what a killed process leaves becomes a child of this one, and is killed next."""
        while True:
            for pid in self._pids.values():
                _kill_group(pid)
            for pid in _children():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            try:
                pid, _ = os.waitpid(-1, 0)
            except ChildProcessError:
                return
            self._forget(pid)

    def _obey(self, order: dict[str, object]) -> None:
        if "start" in order:
            self._start(order)
            return
        pid = self._pids.get(order["id"])  # type: ignore[call-overload]
        if pid is None:
            return
        if order["signal"] == signal.SIGKILL:
            _kill_group(pid)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, order["signal"])  # type: ignore[arg-type]

    def _start(self, order: dict[str, object]) -> None:
        number = order["start"]
        try:
            read, write = os.pipe2(os.O_CLOEXEC)
        except OSError as error:
            _report({"failed": number, "error": str(error), "errno": error.errno})
            return
        try:
            pid = os.fork()
        except OSError as error:
            os.close(read)
            os.close(write)
            _report({"failed": number, "error": str(error), "errno": error.errno})
            return
        if pid == 0:
            _become(order, write)
        os.close(write)
        with os.fdopen(read, "rb") as pipe:
            said = pipe.read().decode()
        if said:
            os.waitpid(pid, 0)
            code, _, error_text = said.partition(" ")
            _report({"failed": number, "error": error_text, "errno": int(code)})
            return
        self._pids[number] = pid  # type: ignore[index]
        self._ids[pid] = number  # type: ignore[assignment]
        _report({"started": number, "pid": pid})

    def _reap(self) -> None:
        """Tell of the dead; what is left of a dead process's group goes with it, before its id is free again."""
        while True:
            try:
                found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if found is None:
                return
            if found.si_pid in self._ids:
                _kill_group(found.si_pid)
            _, status = os.waitpid(found.si_pid, 0)
            number = self._forget(found.si_pid)
            if number is not None:
                _report({"exited": number, "code": os.waitstatus_to_exitcode(status)})

    def _forget(self, pid: int) -> "int | None":
        number = self._ids.pop(pid, None)
        if number is not None:
            del self._pids[number]
        return number


def _become(order: dict[str, object], errors: int) -> None:
    """In the child: become the process ordered; tell `errors` why where that fails."""
    try:
        os.setsid()
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        signal.set_wakeup_fd(-1)
        os.umask(PRIVATE)
        for number in RESET:
            signal.signal(number, signal.SIG_DFL)
        log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)  # type: ignore[arg-type]
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.chdir(order["cwd"])  # type: ignore[arg-type]
        argv: list[str] = order["argv"]  # type: ignore[assignment]
        os.execvpe(argv[0], argv, order["env"])  # type: ignore[arg-type]  # noqa: S606 (the supervisor's own words)
    except BaseException as error:  # noqa: BLE001 (a forked child must never go on)
        code = (error.errno or 0) if isinstance(error, OSError) else 0
        os.write(errors, f"{code} {error}".encode())
    finally:
        os._exit(127)


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _children() -> "list[int]":
    """The processes whose parent is this one, from /proc."""
    me = os.getpid()
    found = []
    for entry in os.listdir("/proc"):  # noqa: PTH208 (pathlib is not worth its import here)
        if entry.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{entry}/stat", "rb") as stat:  # noqa: PTH123 (likewise)
                if int(stat.read().rpartition(b")")[2].split()[1]) == me:
                    found.append(int(entry))
    return found


def _report(event: dict[str, object]) -> None:
    with contextlib.suppress(OSError):  # a supervisor that is gone is seen at the end of standard input
        os.write(1, json.dumps(event).encode() + b"\n")


def _sweep(start: str) -> None:
    """Remove the files whose paths begin with `start`: shared memory that a killed process could not give back. A path
    that ends with a slash is a folder, and goes too."""
    folder, name = os.path.split(start)
    for entry in os.listdir(folder) if os.path.isdir(folder) else ():  # noqa: PTH112, PTH208 (pathlib is not worth its import here)
        if entry.startswith(name):
            with contextlib.suppress(OSError):
                os.unlink(os.path.join(folder, entry))  # noqa: PTH108, PTH118 (likewise)
    if not name:
        with contextlib.suppress(OSError):
            os.rmdir(folder)  # noqa: PTH106 (likewise)


def main() -> None:
    """Serve until standard input ends. Arguments: file descriptors to hold open, and to let no child inherit; and
    beginnings of the paths of files to remove at the end."""
    fds = [int(argument) for argument in sys.argv[1:] if argument.isdigit()]
    sweeps = [argument for argument in sys.argv[1:] if not argument.isdigit()]
    for fd in fds:
        os.set_inheritable(fd, False)
    read, write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(write)
    LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1)
    reaper = ChildReaper()
    try:
        reaper.serve(read)
    finally:
        reaper.end()
        for start in sweeps:
            _sweep(start)


if __name__ == "__main__":
    main()
