"""Lets neither Triton nor what the language model started go on when the other is gone.

Triton would go on without the model's process for ever, and the engine's processes without Triton. Run as a program by
the model's process, which holds the other end of its standard input; any byte there is a farewell. Arguments: Triton's
process id. It uses the standard library alone, to be small and soon there.
"""

import contextlib
import os
import select
import signal
import sys


def main() -> None:
    """Wait for the model's process or Triton to end; then kill Triton, and its process group where it leads one."""
    triton = int(sys.argv[1])
    handle = os.pidfd_open(triton)
    leads = os.getpgrp() == triton
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    ended, _, _ = select.select([0, handle], [], [])
    if 0 in ended and os.read(0, 1):
        return
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(handle, signal.SIGKILL)
    # What the engine started may have no parent any more, but is still in Triton's group, as is this process.
    if leads:
        os.killpg(triton, signal.SIGKILL)


if __name__ == "__main__":
    main()
