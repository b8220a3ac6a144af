"""An object in a process of its own, so that it has cores and an interpreter lock to itself."""

import multiprocessing
import signal
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar

from bench.kit import BenchError

T = TypeVar("T")
R = TypeVar("R")
P = ParamSpec("P")

GRACE_SECONDS = 5.0


class Worker(Generic[T]):
    """Holds what `make` returns in another process. One call at a time."""

    def __init__(self, make: Callable[[], T]) -> None:
        spawned = multiprocessing.get_context("spawn")
        self._pipe, theirs = spawned.Pipe()
        self._process = spawned.Process(target=_serve, args=(theirs, make), daemon=True)
        self._process.start()
        theirs.close()

    def call(self, method: Callable[Concatenate[T, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """The method's result, called over there. Raises BenchError with the traceback of what it raised."""
        try:
            self._pipe.send((method.__name__, args, kwargs))
            failed, result = self._pipe.recv()
        except (EOFError, ConnectionError) as error:
            raise BenchError("a process of the benchmark died; is there enough memory?") from error
        if failed:
            raise BenchError(result)
        found: R = result
        return found

    @property
    def pid(self) -> int:
        return self._process.pid or 0

    def close(self) -> None:
        """End the process."""
        self._pipe.close()
        self._process.join(GRACE_SECONDS)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if error is not None:
            self._process.terminate()
        self.close()


def _serve(pipe: "Connection[Any, Any]", make: Callable[[], Any]) -> None:
    """Answer calls until the other end goes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    held: Any = None
    while True:
        try:
            name, args, kwargs = pipe.recv()
        except EOFError:
            return
        try:
            held = make() if held is None else held
            pipe.send((False, getattr(held, name)(*args, **kwargs)))
        except BenchError as error:
            pipe.send((True, str(error)))
        except Exception:  # noqa: BLE001 whatever it is, the other side reports it
            pipe.send((True, traceback.format_exc()))
