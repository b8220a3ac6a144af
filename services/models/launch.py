"""Starts tritonserver so that its shared memory, which holds questions and texts in clear, is its owner's alone, and so
that its log is JSON lines.

    python -m services.models.launch PROGRAM [ARGUMENT …]

The umask makes it so, but Triton's Python backend then sets mode 644 by a call of its own (boost.interprocess does).
A filter makes that one call do nothing: a change of mode afterwards would leave time for others to open the memory.

Triton has no format of its own for logs, and its models' libraries print as they like: all of it goes through a pipe to
a process that gives it a form. That one is nobody's child and in no group but its own, so that it ends after the last
line and not with Triton.
"""

import os
import sys

from services.models.log_lines import copy
from services.runtime.seccomp import (
    ARCH,
    AUDIT_ARCH_AARCH64,
    AUDIT_ARCH_X86_64,
    JUMP_EQUAL,
    LOAD,
    NUMBER,
    RET_ALLOW,
    RET_ERRNO,
    RETURN,
    Instruction,
    install,
    load_argument,
)
from services.runtime.sockets import PRIVATE

READABLE = 0o644
FCHMOD = {AUDIT_ARCH_X86_64: 91, AUDIT_ARCH_AARCH64: 52}


def keep_modes() -> list[Instruction]:
    """A filter under which fchmod to 644 succeeds and does nothing; every other call is made."""
    steps: list[Instruction] = []
    for architecture, fchmod in FCHMOD.items():
        call: list[Instruction] = [
            (LOAD, 0, 0, NUMBER),
            (JUMP_EQUAL, 0, 3, fchmod),
            load_argument(1),
            (JUMP_EQUAL, 0, 1, READABLE),
            (RETURN, 0, 0, RET_ERRNO),
            (RETURN, 0, 0, RET_ALLOW),
        ]
        steps += [(LOAD, 0, 0, ARCH), (JUMP_EQUAL, 0, len(call), architecture), *call]
    return [*steps, (RETURN, 0, 0, RET_ALLOW)]


def shape_log() -> None:
    """From here on what this process and its children print comes out as JSON lines."""
    read, write = os.pipe()
    middle = os.fork()
    if middle == 0:
        try:
            os.close(write)
            os.setsid()
            if os.fork() == 0:
                with os.fdopen(read, "rb") as source, os.fdopen(os.dup(2), "wb") as target:
                    _let_go()
                    copy(source, target)
        finally:
            os._exit(0)
    os.waitpid(middle, 0)
    os.close(read)
    for stream in (1, 2):
        os.dup2(write, stream)
    os.close(write)


def _let_go() -> None:
    """Of what this process has inherited and does not need."""
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    os.close(null)


def main() -> None:
    program = sys.argv[1:]
    if not program:
        sys.exit("usage: python -m services.models.launch PROGRAM [ARGUMENT …]")
    os.umask(PRIVATE)
    shape_log()
    try:
        install(keep_modes())
    except OSError as error:  # under an emulator, say, which knows no filters
        print(f"others on this machine can read Triton's shared memory: {error}", file=sys.stderr)  # noqa: T201
    os.execv(program[0], program)  # noqa: S606 (the project's own words)


if __name__ == "__main__":
    main()
