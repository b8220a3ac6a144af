"""Ctrl-C: raised where it is not held back, kept where it is, never lost."""

import signal
import threading
from collections.abc import Iterator

import pytest

from cli.interrupt import Interrupt


class Call:
    def __init__(self) -> None:
        self.ended = threading.Event()

    def cancel(self) -> None:
        self.ended.set()


@pytest.fixture
def interrupt() -> Iterator[Interrupt]:
    interrupt = Interrupt()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt), interrupt:
            yield interrupt
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def press() -> None:
    signal.raise_signal(signal.SIGINT)


def test_it_is_raised_where_it_is_not_held_back(interrupt: Interrupt) -> None:
    with pytest.raises(KeyboardInterrupt):
        press()


def test_it_ends_the_call_that_is_waited_for(interrupt: Interrupt) -> None:
    def wait() -> None:
        with interrupt.held(call):
            press()
            raise RuntimeError("the call was cancelled")

    call = Call()
    with pytest.raises(KeyboardInterrupt):
        wait()
    assert call.ended.wait(60)


def test_it_ends_a_call_that_was_being_begun(interrupt: Interrupt) -> None:
    call = Call()
    with interrupt.held():
        press()
        with interrupt.held(call):
            assert call.ended.wait(60)


def test_it_has_patience_with_a_call_that_brings_what_is_needed(interrupt: Interrupt) -> None:
    call = Call()
    with interrupt.held(patience=60), interrupt.held(call):
        press()
        assert not call.ended.wait(0.1)


def test_what_comes_all_the_same_is_kept(interrupt: Interrupt) -> None:
    call = Call()
    with interrupt.held(call):
        press()
    with pytest.raises(KeyboardInterrupt):
        interrupt.check()


def test_one_that_was_lost_is_raised_again(interrupt: Interrupt) -> None:
    try:
        press()
    except KeyboardInterrupt:
        interrupt.check()  # it is being seen to
    with pytest.raises(KeyboardInterrupt):
        interrupt.check()


def test_the_second_ends_the_process(interrupt: Interrupt) -> None:
    with interrupt.held():
        press()
    assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL


def test_where_ctrl_c_is_ignored_it_stays_so() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Interrupt():
            press()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
