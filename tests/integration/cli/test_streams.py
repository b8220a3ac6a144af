"""The command as a process: its imports, its terminal, its streams."""

import os
import pty
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

HEADWORKS = Path(sys.executable).with_name("headworks")
PRESSED = """
import sys
class Press:
    def find_spec(self, name, *_):
        if name == {name!r}:
            raise KeyboardInterrupt
sys.meta_path.insert(0, Press())
from cli.main import main
main(["version"])
"""


@pytest.mark.parametrize("name", ["cli.program", "click", "infra.local", "cli.mesh.version"])
def test_ctrl_c_while_modules_are_loaded_ends_quietly(name: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", PRESSED.format(name=name)], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 130
    assert ended.stderr.strip() in ("", "headworks: interrupted")


OTHER = [
    {"PYTHONIOENCODING": "latin-1"},
    {"PYTHONIOENCODING": "ascii"},
    {"PYTHONIOENCODING": "cp437"},
    {"PYTHONUTF8": "0", "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"},
]
SHOWS = """
import sys
from cli import output
from cli.program import begin
from cli.runs import watch
begin(["version"])
text = "\\u201c\\u871c\\u8702\\u201d \\u2026"
output.put(output.console(), text)
with output.Flow(output.console()) as flow:
    flow.write(text)
output.print_table(["a"], [[text]])
output.warn(text)
print(text, file=sys.stderr)
output.print_json({"text": text})
"""


@pytest.mark.parametrize("environment", OTHER, ids=str)
def test_text_goes_to_streams_that_are_not_unicode(environment: dict[str, str]) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", SHOWS], capture_output=True, check=False, env={**os.environ, **environment}
    )
    assert ended.returncode == 0, ended.stderr
    assert b"Traceback" not in ended.stderr
    assert b"?" in ended.stdout
    assert "\\u871c" in ended.stdout.decode("ascii", "replace")  # of the JSON nothing is lost


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_the_terminal_with_its_cursor(tmp_path: Path, number: signal.Signals) -> None:
    """Of a verb with a bar of progress, on a mesh that never answers."""
    (tmp_path / "a.md").write_text("a")
    own, terminal = pty.openpty()
    import socket

    with socket.create_server(("127.0.0.1", 0)) as mute:
        process = subprocess.Popen(
            [HEADWORKS, "ingest", tmp_path / "a.md", "--edge", f"127.0.0.1:{mute.getsockname()[1]}", "--key", "hw_x"],
            stdin=subprocess.DEVNULL, stdout=terminal, stderr=terminal, env={**os.environ, "TERM": "xterm"},
        )  # fmt: skip
        os.close(terminal)
        guard = threading.Timer(60, process.kill)
        guard.start()
        try:
            read = b""
            while some := _read(own):
                if b"\x1b[?25l" in some and b"\x1b[?25l" not in read:
                    process.send_signal(number)
                read += some
            assert process.wait() == 128 + number
        finally:
            guard.cancel()
            process.kill()
            process.wait()
            os.close(own)
    assert read.rindex(b"\x1b[?25h") > read.rindex(b"\x1b[?25l")
    assert b"0 of 1 document" in read


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 1 << 16)
    except OSError:  # the other side is closed
        return b""
