"""Ctrl-C, and SIGTERM, while calls of the mesh are open.

Python raises KeyboardInterrupt wherever the main thread stands. Within gRPC's code it is lost there, in a finalizer for
one, or leaves a lock held without which the channel cannot close. So there it is held back: it ends the call that is
waited for, and is raised as that fails.
"""

import signal
import sys
import threading
import time
from _thread import start_new_thread
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, NamedTuple, Protocol

from cli.errors import Terminated

USUAL = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
"""What they do where nobody has changed it."""


class Cancellable(Protocol):
    def cancel(self) -> object: ...


class Hold(NamedTuple):
    """What Ctrl-C does instead of being raised: it ends `call`, after `patience` in seconds."""

    call: Cancellable | None
    patience: float


class Interrupt:
    """The first Ctrl-C of a verb, which enters it: raised once, where it is not held back. The second ends the process
    at once. SIGTERM does the same, as Terminated, so that a terminal is left as it was. Nothing is changed in a thread
    that is not the main one, or where the signal is ignored."""

    def __init__(self) -> None:
        self._pressed: type[KeyboardInterrupt] | None = None
        self._hold: Hold | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "Interrupt":
        if threading.current_thread() is threading.main_thread():
            for number, usual in USUAL.items():
                if signal.getsignal(number) is usual:
                    self._before[number] = signal.signal(number, self._press)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """Raises KeyboardInterrupt where it was held back, or lost, up to here."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if error is None:
            self.check()

    def check(self) -> None:
        """Raises KeyboardInterrupt where it was lost, or held back and is no longer."""
        if self._pressed and self._hold is None and self._is_due():
            raise self._pressed

    @contextmanager
    def held(self, call: Cancellable | None = None, patience: float = 0) -> Iterator[None]:
        """Within, Ctrl-C is not raised but ends the `call`, after `patience` in seconds. What fails then raises
        KeyboardInterrupt; what comes all the same is kept, and it is raised at the next check."""
        outer, before = self._hold, self._pressed
        self._hold = Hold(call, max(patience, outer.patience if outer else 0))
        if self._is_due():
            self._end(self._hold)
        try:
            yield
        except BaseException:
            if self._pressed and not before:
                raise self._pressed from None
            raise
        finally:
            self._hold = outer

    def _press(self, number: int, _: FrameType | None) -> None:
        for handled in self._before:
            signal.signal(handled, signal.SIG_DFL)
        self._pressed = Terminated if number == signal.SIGTERM else KeyboardInterrupt
        if self._hold is None:
            raise self._pressed
        self._end(self._hold)

    def _end(self, hold: Hold) -> None:
        """In another thread: this one may hold any lock of gRPC's."""
        if hold.call is not None:
            start_new_thread(_cancel, (hold.call, hold.patience))

    def _is_due(self) -> bool:
        """Ctrl-C was pressed, and nothing on the way out sees to it."""
        return self._pressed is not None and not isinstance(sys.exception(), KeyboardInterrupt)


def _cancel(call: Cancellable, patience: float) -> None:
    time.sleep(patience)
    call.cancel()
