"""The system calls that sandboxed code may make: an allow-list, held by the kernel.

A call that is not in the list fails with EPERM, so that Python raises PermissionError; one made in another ABI than
x86-64's ends the process. Runs inside the sandboxed process: standard library only.
"""

import errno

from services.runtime import seccomp
from services.runtime.seccomp import (
    ARCH,
    AUDIT_ARCH_X86_64,
    JUMP_AT_LEAST,
    JUMP_EQUAL,
    JUMP_SET,
    LOAD,
    NUMBER,
    RET_ALLOW,
    RET_ERRNO,
    RET_KILL,
    RETURN,
    Instruction,
    load_argument,
)

# Numbers of arch/x86/entry/syscalls/syscall_64.tbl.
ALLOWED = {
    "read": 0, "write": 1, "open": 2, "close": 3, "stat": 4, "fstat": 5, "lstat": 6, "poll": 7, "lseek": 8, "mmap": 9,
    "mprotect": 10, "munmap": 11, "brk": 12, "rt_sigaction": 13, "rt_sigprocmask": 14, "rt_sigreturn": 15,
    "pread64": 17, "pwrite64": 18, "readv": 19, "writev": 20, "access": 21, "pipe": 22, "select": 23,
    "sched_yield": 24, "mremap": 25, "msync": 26, "mincore": 27, "madvise": 28, "dup": 32, "dup2": 33, "pause": 34,
    "nanosleep": 35, "getitimer": 36, "alarm": 37, "setitimer": 38, "getpid": 39, "sendfile": 40, "exit": 60,
    "uname": 63, "flock": 73, "fsync": 74, "fdatasync": 75, "ftruncate": 77, "getdents": 78, "getcwd": 79, "chdir": 80,
    "fchdir": 81, "rename": 82, "mkdir": 83, "rmdir": 84, "creat": 85, "unlink": 87, "symlink": 88, "readlink": 89,
    "umask": 95, "gettimeofday": 96, "getrlimit": 97, "getrusage": 98, "sysinfo": 99, "times": 100, "getuid": 102,
    "getgid": 104, "geteuid": 107, "getegid": 108, "getppid": 110, "getpgrp": 111, "getgroups": 115, "getresuid": 118,
    "getresgid": 120, "getpgid": 121, "getsid": 124, "sigaltstack": 131, "statfs": 137, "fstatfs": 138, "gettid": 186,
    "time": 201, "futex": 202, "sched_getaffinity": 204, "epoll_create": 213, "getdents64": 217,
    "set_tid_address": 218, "restart_syscall": 219, "fadvise64": 221, "clock_gettime": 228, "clock_getres": 229,
    "clock_nanosleep": 230, "exit_group": 231, "epoll_wait": 232, "epoll_ctl": 233, "openat": 257, "mkdirat": 258,
    "newfstatat": 262, "unlinkat": 263, "renameat": 264, "symlinkat": 266, "readlinkat": 267, "faccessat": 269,
    "pselect6": 270, "ppoll": 271, "set_robust_list": 273, "get_robust_list": 274, "epoll_pwait": 281, "eventfd2": 290,
    "epoll_create1": 291, "dup3": 292, "pipe2": 293, "preadv": 295, "pwritev": 296, "getcpu": 309, "renameat2": 316,
    "getrandom": 318, "membarrier": 324, "copy_file_range": 326, "statx": 332, "rseq": 334, "close_range": 436,
    "faccessat2": 439,
}  # fmt: skip
IOCTL, CLONE, FCNTL, KILL, TGKILL, PRLIMIT, CLONE3 = 16, 56, 72, 62, 234, 302, 435
# Asking a descriptor what it is, and its flags; nothing that reaches a device.
IOCTLS = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)
# Copies, flags and locks; not F_SETOWN, which sends signals to others.
FCNTLS = (0, 1, 2, 3, 4, 5, 6, 7, 1030)
CLONE_THREAD = 0x10000

X32_BIT = 0x40000000


def _return(value: int) -> Instruction:
    return (RETURN, 0, 0, value)


def _refuse(number: int = errno.EPERM) -> Instruction:
    return _return(RET_ERRNO | number)


def _if_call(number: int, then: list[Instruction]) -> list[Instruction]:
    """Where the call is `number`: `then`, which returns."""
    return [(JUMP_EQUAL, 0, len(then), number), *then]


def _one_of(argument: int, values: tuple[int, ...]) -> list[Instruction]:
    """Allow the call where its argument (its low half, all that the kernel reads of it) is one of `values`."""
    tests = [step for value in values for step in ((JUMP_EQUAL, 0, 1, value), _return(RET_ALLOW))]
    return [load_argument(argument), *tests, _refuse()]


def program(pid: int, *, threads: bool) -> list[Instruction]:
    """The filter for the process `pid`, which may make threads or not; other processes never."""
    steps = [
        (LOAD, 0, 0, ARCH),
        (JUMP_EQUAL, 1, 0, AUDIT_ARCH_X86_64),
        _return(RET_KILL),
        (LOAD, 0, 0, NUMBER),
        (JUMP_AT_LEAST, 0, 1, X32_BIT),
        _return(RET_KILL),
    ]
    for number in ALLOWED.values():
        steps += _if_call(number, [_return(RET_ALLOW)])
    steps += _if_call(IOCTL, _one_of(1, IOCTLS))
    steps += _if_call(FCNTL, _one_of(1, FCNTLS))
    steps += _if_call(KILL, _one_of(0, (pid,)))
    steps += _if_call(TGKILL, _one_of(0, (pid,)))
    steps += _if_call(PRLIMIT, _only_reading())
    if threads:
        steps += _if_call(CLONE, [load_argument(0), (JUMP_SET, 0, 1, CLONE_THREAD), _return(RET_ALLOW), _refuse()])
    # glibc then falls back to clone, whose flags a filter can see.
    steps += _if_call(CLONE3, [_refuse(errno.ENOSYS)])
    return [*steps, _refuse()]


def _only_reading() -> list[Instruction]:
    """prlimit64 of the process itself (0), with no new limit (a null pointer)."""
    return [
        load_argument(0), (JUMP_EQUAL, 1, 0, 0), _refuse(),
        load_argument(2), (JUMP_EQUAL, 1, 0, 0), _refuse(),
        load_argument(2, high=True), (JUMP_EQUAL, 1, 0, 0), _refuse(),
        _return(RET_ALLOW),
    ]  # fmt: skip


def install(pid: int, *, threads: bool) -> None:
    """Hold this thread, and all it starts, to the filter, for good. Raises OSError."""
    seccomp.install(program(pid, threads=threads))
