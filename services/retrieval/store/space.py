"""The space left on the edge store's disk, and the floor below which nothing is written.

The engine writes to files that are mapped and have holes: where the disk is full the kernel ends the process (SIGBUS).
So each write looks first. The floor must hold what the writes that looked at the same moment still take, and what
others put on the same disk meanwhile. A write has 64 passages at most, 16 MiB at their longest, and is kept twice: in
the write-ahead log and in the shard. With four threads that makes 128 MiB; the default is four times as much.
"""

import os
from pathlib import Path

from services.retrieval.errors import StoreFull

# What the engine may write to open a shard: it replays its write-ahead log. Half of the floor where that is less, so
# that what filled the disk down to the floor can be read after a restart.
OPENING = 64 << 20


class Space:
    """The disk of a folder; `floor` in bytes, 0 for none."""

    def __init__(self, folder: Path, floor: int) -> None:
        self._folder = folder
        self._floor = floor

    @property
    def short(self) -> bool:
        """Whether less than the floor is left."""
        return self._free() < self._floor

    def check(self, extra: int = 0) -> None:
        """Raises StoreFull where writing `extra` bytes would leave less than the floor."""
        self._check(self._floor + (extra if self._floor else 0), "nothing is written to it")

    def check_opening(self) -> None:
        """Raises StoreFull where opening a shard might fill the disk."""
        self._check(min(self._floor // 2, OPENING), "collections that are not open yet stay closed")

    def _check(self, least: int, what: str) -> None:
        free = self._free()
        if free < least:
            raise StoreFull(
                f"the store's disk has {free >> 20} MiB left, less than the {least >> 20} MiB needed: {what} until "
                "there is space again. Free some, or delete a collection",
                free_bytes=str(free),
                needed_bytes=str(least),
            )

    def _free(self) -> int:
        disk = os.statvfs(self._folder)
        return disk.f_bavail * disk.f_frsize
