"""Processes that a benchmark starts beside the mesh, and their children."""

import signal
import subprocess
from pathlib import Path

import psutil

STOP_SECONDS = 30.0
SHOWN_LINES = 20


def stop(process: "subprocess.Popen[bytes]") -> None:
    """End a process, and its children where they outlive it."""
    try:
        family = psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        family = []
    terminate(process, STOP_SECONDS)
    _, left = psutil.wait_procs(family, timeout=5)
    for member in left:
        member.kill()


def terminate(process: "subprocess.Popen[bytes]", seconds: float) -> None:
    """Ask a process to end, and kill it where it has not within `seconds`."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def end(file: Path) -> str:
    """The last lines of a log, indented."""
    return "\n".join(f"  | {line}" for line in file.read_text("utf-8", "replace").splitlines()[-SHOWN_LINES:])
