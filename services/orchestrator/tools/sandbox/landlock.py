"""The files that sandboxed code may touch, held by the kernel's Landlock.

Runs inside the sandboxed process: standard library only.
"""

import ctypes
import os
from collections.abc import Iterable

from services.orchestrator.tools.sandbox import libc

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
VERSION_FLAG = 1
PATH_BENEATH = 1

WRITE_FILE, READ_FILE, READ_DIR = 1 << 1, 1 << 2, 1 << 3
REMOVE_DIR, REMOVE_FILE, MAKE_DIR, MAKE_REG, MAKE_SYM = 1 << 4, 1 << 5, 1 << 7, 1 << 8, 1 << 12
REFER, TRUNCATE = 1 << 13, 1 << 14
# Rights on files that each version of the ABI brought: how many of the low bits it knows.
KNOWN_BITS = {1: 13, 2: 14, 3: 15, 4: 15}
LATEST_BITS = 16
NETWORK_SINCE, SCOPES_SINCE = 4, 6
TCP = 0b11
SCOPES = 0b11  # abstract UNIX sockets and signals

READ = READ_FILE | READ_DIR
WRITE = READ | WRITE_FILE | REMOVE_DIR | REMOVE_FILE | MAKE_DIR | MAKE_REG | MAKE_SYM | REFER | TRUNCATE
ON_FILES = READ_FILE | WRITE_FILE | TRUNCATE


class _Ruleset(ctypes.Structure):
    _fields_ = [("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scopes", ctypes.c_uint64)]


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = [("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32)]


def version() -> int:
    """The kernel's Landlock ABI. Raises OSError where it has none."""
    return libc.syscall("Landlock", CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(VERSION_FLAG))


def restrict(rules: Iterable[tuple[str, int]]) -> None:
    """Let this thread, and all it starts, touch nothing but the paths in `rules`, each with what may be done beneath
    it; paths that do not exist are passed over. Needs NO_NEW_PRIVS. Raises OSError."""
    abi = version()
    handled = (1 << KNOWN_BITS.get(abi, LATEST_BITS)) - 1
    attributes = _Ruleset(handled, TCP if abi >= NETWORK_SINCE else 0, SCOPES if abi >= SCOPES_SINCE else 0)
    size = 8 if abi < NETWORK_SINCE else 16 if abi < SCOPES_SINCE else 24
    ruleset = libc.syscall(
        "Landlock", CREATE_RULESET, ctypes.byref(attributes), ctypes.c_size_t(size), ctypes.c_uint32(0)
    )
    for path, rights in rules:
        _allow(ruleset, path, rights & handled)
    libc.syscall("Landlock", RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint32(0))
    os.close(ruleset)


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        parent = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    if not os.path.isdir(path):  # noqa: PTH112 (pathlib is slow to import, and this is on each start's way)
        rights &= ON_FILES
    rule = _PathBeneath(rights, parent)
    libc.syscall(
        "Landlock", ADD_RULE, ctypes.c_int(ruleset), ctypes.c_int(PATH_BENEATH), ctypes.byref(rule), ctypes.c_uint32(0)
    )
    os.close(parent)
