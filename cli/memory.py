"""The memory that a process and its descendants hold."""

import psutil


def resident(pid: int | None, children: bool = True) -> int:
    """Resident bytes of the process, its descendants included unless not wanted; 0 where it is gone.

    Pages that several of them share count once for each.
    """
    if not pid:
        return 0
    try:
        process = psutil.Process(pid)
        family = [process, *(process.children(recursive=True) if children else [])]
    except psutil.Error:
        return 0
    return sum(_one(member) for member in family)


def _one(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0
