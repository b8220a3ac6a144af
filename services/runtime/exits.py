"""The end of a process: gone within seconds of its last work, whatever threads a library has left in it."""

import logging
import os
import signal
import sys
import threading
import time

log = logging.getLogger(__name__)

EXIT_SECONDS = 5.0
MARGIN_SECONDS = 5


def exit_within(seconds: float, code: int) -> None:
    """End the process with `code` so many seconds from now, unless it has ended by itself: Python waits for threads
    that are no daemons, and for calls that were handed to threads, however long they take.

    Where not even Python's own end comes to an end, SIGALRM ends the process.
    """
    signal.alarm(int(seconds) + MARGIN_SECONDS)
    threading.Thread(target=_exit, args=(seconds, code), name="exit", daemon=True).start()


def _exit(seconds: float, code: int) -> None:
    time.sleep(seconds)
    left = [thread.name for thread in threading.enumerate() if not thread.daemon]
    log.error("exits with work left in threads", extra={"threads": ", ".join(left)})
    sys.stderr.flush()
    os._exit(code)
