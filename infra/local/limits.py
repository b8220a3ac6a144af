"""What the system allows: how many files may be open, and what its refusals mean for a person."""

import errno
import os
import re
import resource
import shutil

from services.runtime.file_faults import FAULTS

LEAST_FILES = 256
"""A process of a mesh that does little has fewer files and connections open."""
WANTED_FILES = 65_536
"""Raised to no more than this: every connection is a file, and nobody has more of them."""
ERRNO = re.compile(r"\[Errno (\d+)\]")
NO_THREAD = "can't start new thread"
FILES = "raise the limit with `ulimit -n {least}` or more, and where that is refused have the administrator raise it"
PROCESSES = (
    "no further process or thread may be started: end others, or raise the limit (`ulimit -u`, or that of the "
    "container or the unit on its processes)"
)
SPACE = "free some, or use another disk"
ACCESS = "change its permissions, or use another"
# By the system's number: what it means, and what to do.
PROCESS_LIMITS = {
    errno.EMFILE: f"{FAULTS[errno.EMFILE]}, of {{soft}} at most: {FILES}",
    errno.ENFILE: f"{FAULTS[errno.ENFILE]}: end other programs, or raise fs.file-max",
    errno.EAGAIN: PROCESSES,
    errno.ENOMEM: f"{FAULTS[errno.ENOMEM]}: end other programs, or use a machine with more",
}
SPACE_FAULTS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)
"""Of a disk, whatever file is written there."""
REMEDIES = {errno.ENOSPC: SPACE, errno.EDQUOT: SPACE, errno.EACCES: ACCESS, errno.EPERM: ACCESS,
            errno.ENAMETOOLONG: "use a shorter one"}  # fmt: skip
FILE_LIMITS = {
    number: f"{what}: {REMEDIES.get(number, 'use another')}"
    for number, what in FAULTS.items() if number not in PROCESS_LIMITS
}  # fmt: skip


def refusal(error: BaseException) -> str | None:
    """What a limit of the system that a process has met is, and what to do; None for any other error."""
    if isinstance(error, MemoryError):
        return PROCESS_LIMITS[errno.ENOMEM]
    if isinstance(error, RuntimeError) and str(error) == NO_THREAD:
        return PROCESSES
    if isinstance(error, shutil.Error):
        return _of_copies(error)
    if not isinstance(error, OSError) or error.errno is None:
        return None
    if (said := PROCESS_LIMITS.get(error.errno)) is not None:
        return said.format(soft=resource.getrlimit(resource.RLIMIT_NOFILE)[0], least=LEAST_FILES)
    said = FILE_LIMITS.get(error.errno, error.strerror if error.filename else None)
    return f"{error.filename}: {said}" if said and error.filename else said


def _of_copies(error: shutil.Error) -> str | None:
    """The first of the copies that could not be made; of each, its errors' texts alone are there."""
    failed = error.args[0] if error.args else ()
    for _, path, text in failed if isinstance(failed, list) else ():
        if number := ERRNO.search(text):
            code = int(number[1])
            return refusal(OSError(code, os.strerror(code), path))
    return None


def raise_files(least: int = LEAST_FILES, wanted: int = WANTED_FILES) -> str | None:
    """Let this process, and those that it starts, have as many files open as the system lets it. What is wrong where
    those are too few."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    if most < least:
        return f"a process may have {most} files open at most, and {least} are needed: {FILES.format(least=least)}"
    return None
