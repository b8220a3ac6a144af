"""System calls that Python has no function for. Runs inside the sandboxed process: standard library only."""

import ctypes
import os

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_CAPBSET_DROP = 24
PR_SET_NO_NEW_PRIVS = 38


class SandboxRefused(Exception):
    """A layer of protection could not be put up."""


def syscall(what: str, number: int, *arguments: object) -> int:
    """The call's value. Raises OSError that names `what`."""
    value = int(_libc.syscall(ctypes.c_long(number), *arguments))
    if value < 0:
        raise _error(what)
    return value


def prctl(what: str, option: int, *arguments: object) -> None:
    given = [*arguments, *[ctypes.c_ulong(0)] * (4 - len(arguments))]
    if _libc.prctl(ctypes.c_int(option), *given) != 0:
        raise _error(what)


def unshare(flags: int) -> None:
    if _libc.unshare(ctypes.c_int(flags)) != 0:
        raise _error("unshare")


def mount(source: str, target: str, kind: str | None, flags: int, options: str = "") -> None:
    encoded = [one.encode() if one is not None else None for one in (source, target, kind)]
    if _libc.mount(*encoded, ctypes.c_ulong(flags), options.encode() or None) != 0:
        raise _error(f"mount of {target}")


def unmount(target: str, flags: int) -> None:
    if _libc.umount2(target.encode(), ctypes.c_int(flags)) != 0:
        raise _error(f"unmount of {target}")


def _error(what: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"{what}: {os.strerror(number)}")
