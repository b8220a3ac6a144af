"""What nobody catches ends up in the log, in the log's form."""

import json
import subprocess
import sys

import pytest

pytestmark = pytest.mark.integration

UNCAUGHT = """
import threading, warnings
from services.runtime.logs import configure

configure("widget", "info")
warnings.warn("beware", stacklevel=1)
thread = threading.Thread(target=lambda: 1 / 0, name="worker")
thread.start()
thread.join()
raise ValueError("nobody's")
"""


def test_warnings_and_what_nobody_catches_are_lines_too() -> None:
    ended = subprocess.run([sys.executable, "-c", UNCAUGHT], capture_output=True, text=True, check=False)
    lines = [json.loads(text) for text in ended.stderr.splitlines()]
    assert ended.returncode == 1
    assert [(one["level"], one["service"]) for one in lines] == [
        ("warning", "widget"), ("error", "widget"), ("critical", "widget"),
    ]  # fmt: skip
    assert "beware" in lines[0]["message"]
    assert (lines[1]["thread_name"], "ZeroDivisionError" in lines[1]["exception"]) == ("worker", True)
    assert "ValueError" in lines[2]["exception"]
