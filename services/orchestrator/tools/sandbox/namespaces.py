"""Namespaces of the sandboxed process's own: an empty network, and a root folder with nothing in it but what it needs.

Runs inside the sandboxed process: standard library only.
"""

import errno
import os

from services.orchestrator.tools.sandbox import libc

NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWNET = 0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x40000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = (
    1, 2, 4, 8, 32, 4096, 16384, 1 << 18,
)  # fmt: skip
MNT_DETACH = 2
PIVOT_ROOT = 155
SCRATCH = "/scratch"
NOT_LET = (errno.EPERM, errno.ENOSYS, errno.EINVAL, errno.ENOSPC, errno.EACCES)


def enter() -> bool:
    """Move this process to namespaces of its own; False where the system does not let us. Raises OSError where it is
    half done."""
    root = os.geteuid() == 0
    uid, gid = os.geteuid(), os.getegid()
    kinds = NEWNS | NEWCGROUP | NEWUTS | NEWIPC | NEWNET
    try:
        libc.unshare(kinds if root else kinds | NEWUSER)
    except OSError as error:
        if error.errno in NOT_LET:
            return False
        raise
    if not root:
        _write("/proc/self/setgroups", "deny")
        _write("/proc/self/uid_map", f"{uid} {uid} 1")
        _write("/proc/self/gid_map", f"{gid} {gid} 1")
    return True


def own_root(folder: str, paths: list[str], scratch_bytes: int) -> None:
    """Make `folder` the root: `paths` as they are, read-only where the system lets us, and a scratch folder in memory.
    Raises OSError."""
    libc.mount("none", "/", None, MS_REC | MS_PRIVATE)
    libc.mount("tmpfs", folder, "tmpfs", MS_NOSUID | MS_NODEV, "size=1m,mode=755")
    for path in paths:
        if os.path.exists(path):  # noqa: PTH110 (pathlib is slow to import, and this is on each start's way)
            _bind(path, folder + path)
    os.mkdir(folder + SCRATCH)  # noqa: PTH102 (likewise)
    limits = f"size={scratch_bytes},nr_inodes=4096,mode=777"
    libc.mount("tmpfs", folder + SCRATCH, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, limits)
    os.chdir(folder)
    libc.syscall("pivot_root", PIVOT_ROOT, b".", b".")
    libc.unmount(".", MNT_DETACH)
    os.chdir(SCRATCH)


def _bind(source: str, target: str) -> None:
    if os.path.isdir(source):  # noqa: PTH112 (likewise)
        os.makedirs(target, exist_ok=True)  # noqa: PTH103 (likewise)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)  # noqa: PTH103, PTH120 (likewise)
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY))
    libc.mount(source, target, None, MS_BIND | MS_REC)
    try:
        libc.mount("none", target, None, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID)
    except OSError as error:  # flags of the mount below that another user's namespace may not change; Landlock holds
        if error.errno != errno.EPERM:
            raise


def _write(path: str, content: str) -> None:
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.write(descriptor, content.encode())
    finally:
        os.close(descriptor)
