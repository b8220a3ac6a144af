"""A folder that several write to, and that one may copy while nobody does: locks between processes, on the folder.

Writers share the lock of the folder; who copies has it alone. Writers never cease, so who copies announces that first,
by a file that is locked, and those who have not begun yet wait. The end of a process, however it comes, is the end of
its locks; a file that is left is nobody's announcement.
"""

import asyncio
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ANNOUNCED = ".copying"
PAUSE_SECONDS = 0.01


async def begin_writing(folder: Path) -> int:
    """Wait until nobody copies the folder; from then on nobody does, until the descriptor that is returned is closed.
    Raises OSError where there is no such folder."""
    while (descriptor := _share(folder)) is None:
        await asyncio.sleep(PAUSE_SECONDS)
    return descriptor


@contextmanager
def copying(folder: Path) -> Iterator[None]:
    """Wait until nobody writes to the folder; nobody does within. Blocks. Raises OSError where there is no folder."""
    announced = folder / ANNOUNCED
    announcement = os.open(announced, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(announcement, fcntl.LOCK_EX)
        alone = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(alone, fcntl.LOCK_EX)
            yield
        finally:
            announced.unlink(missing_ok=True)
            os.close(alone)
    finally:
        os.close(announcement)


def _share(folder: Path) -> int | None:
    if _is_announced(folder / ANNOUNCED):
        return None
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    if _lock(descriptor):
        return descriptor
    os.close(descriptor)
    return None


def _is_announced(path: Path) -> bool:
    try:
        announcement = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return not _lock(announcement)
    finally:
        os.close(announcement)


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
