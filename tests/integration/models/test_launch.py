"""A program that is started as Triton is."""

import json
import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.integration


def test_what_a_program_and_its_children_print_is_json_to_the_last_line() -> None:
    code = "import os, sys; print('out'); sys.stdout.flush(); os.system('echo a child >&2'); os.abort()"
    launched = [sys.executable, "-m", "services.models.launch", sys.executable, "-c", code]
    read, write = os.pipe()
    ended = subprocess.run(launched, stdout=write, stderr=write, check=False)
    os.close(write)
    with os.fdopen(read, "rb") as printed:  # ends when nobody can print any more
        lines = [json.loads(line) for line in printed]
    assert ended.returncode < 0
    assert [line["message"] for line in lines] == ["out", "a child"]
    assert {(line["service"], line["level"]) for line in lines} == {("triton", "info")}
