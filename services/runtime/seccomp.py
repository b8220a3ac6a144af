"""Filters of system calls, held by the kernel: how one is written and put in force. Standard library only."""

import ctypes
import os
import struct
from collections.abc import Sequence

AUDIT_ARCH_X86_64 = 0xC000003E
AUDIT_ARCH_AARCH64 = 0xC00000B7
RET_ALLOW, RET_KILL, RET_ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
LOAD, JUMP_EQUAL, JUMP_AT_LEAST, JUMP_SET, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
NUMBER, ARCH, ARGUMENTS = 0, 4, 16
"""Offsets in what a filter sees of a call."""
PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, SECCOMP_MODE_FILTER = 22, 38, 2

Instruction = tuple[int, int, int, int]
"""Of classic BPF: operation, jump if true, jump if false, constant."""

_libc = ctypes.CDLL(None, use_errno=True)


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p)]


def load_argument(index: int, high: bool = False) -> Instruction:
    """Load half of the call's argument, the low one unless `high`."""
    return (LOAD, 0, 0, ARGUMENTS + 8 * index + (4 if high else 0))


def install(steps: Sequence[Instruction]) -> None:
    """Hold this thread, and all it starts, to the filter, for good, and to its privileges. Raises OSError."""
    code = b"".join(struct.pack("=HBBI", *step) for step in steps)
    buffer = ctypes.create_string_buffer(code, len(code))
    program = _Program(len(steps), ctypes.addressof(buffer))
    _prctl("NO_NEW_PRIVS", PR_SET_NO_NEW_PRIVS, ctypes.c_ulong(1))
    _prctl("seccomp", PR_SET_SECCOMP, ctypes.c_ulong(SECCOMP_MODE_FILTER), ctypes.byref(program))


def _prctl(what: str, option: int, *arguments: object) -> None:
    given = [*arguments, *[ctypes.c_ulong(0)] * (4 - len(arguments))]
    if _libc.prctl(ctypes.c_int(option), *given) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
