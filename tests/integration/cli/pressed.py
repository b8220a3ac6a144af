"""Runs a verb over and over in this process, each time with Ctrl-C at another place of what gRPC does for its calls:
`python -m tests.integration.cli.pressed TRIES VERB…`. Prints what each try ended with, as a JSON line.
"""

import json
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import grpc

from cli import program

GRPC = str(Path(grpc.__file__).parent)
BEGINS = ("__call__", "future", "with_call")
STEP = 7
"""Of places from one try to the next; a message has several times as many."""


class Press:
    """A profiler that sends this process a SIGINT at the `place`, counted in calls and returns of gRPC's Python and of
    the locks that it takes, from its first call on."""

    def __init__(self, place: int) -> None:
        self._left = place
        self._counts = False

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        file, name = frame.f_code.co_filename, frame.f_code.co_name
        within = file.startswith(GRPC)
        self._counts = self._counts or (within and name in BEGINS)
        if not self._counts or not (within or file.endswith("threading.py")):
            return
        self._left -= 1
        if self._left == 0:
            sys.setprofile(None)
            os.kill(os.getpid(), signal.SIGINT)


for number in range(int(sys.argv[1])):
    sys.setprofile(Press(1 + number * STEP))
    code = program.run(sys.argv[2:])
    sys.setprofile(None)
    restored = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    print(json.dumps({"code": code, "restored": restored}), flush=True)
