"""Keeps Triton's watch over a model's process true while the machine is busy.

As a model loads, Triton takes its process for dead, and aborts as a whole, where a thread of that process has not set
a flag for a second. The thread needs microseconds three times a second, and where other programs are favoured it may
get none of them in time: so it is put ahead of them, where this user may do that (CAP_SYS_NICE).
"""

import contextlib
import os
from pathlib import Path

TASKS = Path("/proc/self/task")
HIGHEST_NICE = -20


def steady() -> bool:
    """Put the thread that Triton watches ahead of others; False where that is not permitted.

    To be called before anything large is imported: the thread is the first that the process started.
    """
    thread = _first_thread()
    if thread is None:
        return False
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(thread, os.SCHED_RR, os.sched_param(os.sched_get_priority_min(os.SCHED_RR)))
        return True
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, thread, HIGHEST_NICE)
        return True
    return False


def _first_thread() -> int | None:
    """The oldest thread but the main one."""
    threads = [int(task.name) for task in TASKS.iterdir() if int(task.name) != os.getpid()]
    return min(threads, key=lambda thread: (_began(thread), thread), default=None)


def _began(thread: int) -> int:
    """When a thread started, in ticks of the kernel's clock."""
    with contextlib.suppress(OSError):
        return int((TASKS / str(thread) / "stat").read_text().rpartition(")")[2].split()[19])
    return 1 << 62
