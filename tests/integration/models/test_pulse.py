"""The thread that Triton watches goes ahead of others, and no other thread does."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
import os, threading
from services.models import pulse

done = threading.Event()
threads = [threading.Thread(target=done.wait) for _ in range(3)]
for thread in threads:
    thread.start()
steadied = pulse.steady()
ahead = [os.sched_getscheduler(thread.native_id) == os.SCHED_RR for thread in threads]
print(steadied, ahead, os.sched_getscheduler(0) == os.SCHED_OTHER)
done.set()
"""
DROP = ("setpriv", "--bounding-set", "-sys_nice", "--inh-caps", "-sys_nice")


def told(*before: str) -> str:
    command = [*before, sys.executable, "-c", PROGRAM]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.strip()


def permitted() -> bool:
    """Whether this process may use the policy at all."""
    return told().startswith("True")


def test_the_first_thread_goes_ahead() -> None:
    if not permitted():
        pytest.skip("needs CAP_SYS_NICE")
    assert told() == "True [True, False, False] True"


def test_without_permission_all_stays_as_it_is() -> None:
    if os.geteuid() == 0:
        assert told(*DROP) == "False [False, False, False] True"
    elif not permitted():
        assert told() == "False [False, False, False] True"


def test_without_other_threads_there_is_nothing_to_do() -> None:
    program = "from services.models import pulse; print(pulse.steady())"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30)
    assert found.stdout.strip() == "False"
