import os
import signal

import pytest

from bench.kit import BenchError
from bench.load.worker import Worker


class Counter:
    """Counts; and fails as asked."""

    def __init__(self) -> None:
        self._count = 0

    def add(self, more: int) -> int:
        self._count += more
        return self._count

    def pid(self) -> int:
        return os.getpid()

    def fail(self, expected: bool) -> None:
        raise BenchError("as expected") if expected else ValueError("a surprise")

    def die(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


def test_an_object_lives_elsewhere_and_keeps_its_state() -> None:
    with Worker(Counter) as worker:
        assert worker.call(Counter.add, 2) == 2
        assert worker.call(Counter.add, 3) == 5
        assert worker.call(Counter.pid) == worker.pid != os.getpid()


def test_failures_come_back() -> None:
    with Worker(Counter) as worker:
        with pytest.raises(BenchError, match=r"^as expected$"):
            worker.call(Counter.fail, expected=True)
        with pytest.raises(BenchError, match="ValueError: a surprise"):
            worker.call(Counter.fail, expected=False)
        assert worker.call(Counter.add, 1) == 1


def test_a_dead_process_is_told() -> None:
    with Worker(Counter) as worker, pytest.raises(BenchError, match="died"):
        worker.call(Counter.die)
