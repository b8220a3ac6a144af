"""The session of tests itself: one that stands still is named, and nothing outlives a pytest that is killed."""

import json
import subprocess
import sys
import time
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[2]
HANGS = "import threading\n\ndef test_that_stands_still():\n    threading.Event().wait()\n"
# A session that starts a process in its own session, one below that, and one that hides its environment.
SESSION = """
import json, subprocess, sys, time
from tests.fixtures.reaper import Reaper
sleep = [sys.executable, "-c", "import time; time.sleep(600)"]
below = "import subprocess, sys, time; print(subprocess.Popen({!r}).pid, flush=True); time.sleep(600)".format(sleep)
with Reaper() as reaper:
    one = subprocess.Popen([sys.executable, "-c", below], start_new_session=True, stdout=subprocess.PIPE)
    hidden = subprocess.Popen(sleep, env={}, start_new_session=True)
    reaper.watch(hidden.pid)
    print(json.dumps([one.pid, int(one.stdout.readline()), hidden.pid]), flush=True)
    time.sleep(600)
"""


def lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_test_that_stands_still_is_named_with_its_stack(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(HANGS)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-c", ROOT / "pyproject.toml", "--rootdir", tmp_path, "-p", "no:cacheprovider",
         "--timeout", "1", tmp_path / "test_it.py"],
        capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 1, done.stdout + done.stderr
    assert "FAILED test_it.py::test_that_stands_still - Failed: Timeout" in done.stdout
    assert "threading.Event().wait()" in done.stdout


def test_nothing_outlives_a_session_that_is_killed() -> None:
    session = subprocess.Popen([sys.executable, "-c", SESSION], cwd=ROOT, stdout=subprocess.PIPE)
    try:
        assert session.stdout is not None
        pids: list[int] = json.loads(session.stdout.readline())
        assert all(map(lives, pids))
    finally:
        session.kill()
        session.wait()
        session.stdout.close()  # type: ignore[union-attr]  # it was read
    until = time.monotonic() + 20
    while any(map(lives, pids)):
        assert time.monotonic() < until, [pid for pid in pids if lives(pid)]
        time.sleep(0.02)
