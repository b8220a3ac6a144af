"""Starts tritonserver so that its shared memory, which holds questions and texts in clear, is its owner's alone.

    python -m services.models.launch PROGRAM [ARGUMENT …]

The umask makes it so, but Triton's Python backend then sets mode 644 by a call of its own (boost.interprocess does).
A filter makes that one call do nothing: a change of mode afterwards would leave time for others to open the memory.
"""

import os
import sys

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


def main() -> None:
    program = sys.argv[1:]
    if not program:
        sys.exit("usage: python -m services.models.launch PROGRAM [ARGUMENT …]")
    os.umask(PRIVATE)
    try:
        install(keep_modes())
    except OSError as error:  # under an emulator, say, which knows no filters
        print(f"others on this machine can read Triton's shared memory: {error}", file=sys.stderr)  # noqa: T201
    os.execv(program[0], program)  # noqa: S606 (the project's own words)


if __name__ == "__main__":
    main()
