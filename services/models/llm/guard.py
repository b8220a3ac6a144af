"""Ends Triton when the process of the language model is gone: Triton itself would go on without it for ever.

Run as a program by that process, which holds the other end of its standard input; any byte there is a farewell.
Arguments: Triton's process id. It uses the standard library alone, to be small and soon there.
"""

import contextlib
import os
import signal
import sys


def main() -> None:
    """Wait for the model's process to end; then kill Triton, and its process group where it leads one."""
    triton = int(sys.argv[1])
    handle = os.pidfd_open(triton)
    leads = os.getpgrp() == triton
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if os.read(0, 1):
        return
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(handle, signal.SIGKILL)
    # What the engine started has no parent any more, but is still in Triton's group, as is this process.
    if leads:
        os.killpg(triton, signal.SIGKILL)


if __name__ == "__main__":
    main()
