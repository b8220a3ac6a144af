"""One mesh per data directory, held by a lock on a file.

The lock belongs to an open file that the reaper shares, so it outlasts a supervisor that was killed until its
processes are gone too.
"""

import fcntl
import os
import time
from pathlib import Path

RETRY_SECONDS = 0.05


class Locked(Exception):
    """Another mesh holds the data directory."""


class DirectoryLock:
    """An exclusive lock on `path`, held from `take` until `release` and the end of all who share `fd`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.fd = -1

    def take(self, wait: float = 2.0) -> None:
        """Take the lock, waiting for at most `wait` seconds. Raises Locked."""
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        until = time.monotonic() + wait
        while not _try(fd, fcntl.LOCK_EX):
            if time.monotonic() >= until:
                os.close(fd)
                raise Locked(str(self._path))
            time.sleep(RETRY_SECONDS)
        self.fd = fd

    def release(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def is_locked(path: Path) -> bool:
    """Whether a mesh holds the lock."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return not _try(fd, fcntl.LOCK_SH)
    finally:
        os.close(fd)


def _try(fd: int, kind: int) -> bool:
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
