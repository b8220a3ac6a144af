"""A real mesh to measure: started as a user starts it, in a directory of its own, and always stopped."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from bench.kit import BenchError
from bench.kit.children import end, terminate
from infra.local import state
from infra.local.keys import read_dev_key
from infra.local.layout import Layout
from infra.local.ports import pick
from infra.local.state import MeshState

READY_SECONDS = 120.0
STOP_SECONDS = 45.0


@dataclass(frozen=True, slots=True)
class Mesh:
    """A running mesh."""

    layout: Layout

    @property
    def state(self) -> MeshState:
        """How it stands now. Raises BenchError where it runs no longer."""
        now = state.running(self.layout)
        if now is None:
            raise BenchError(f"no mesh runs on {self.layout.root}")
        return now

    @property
    def url(self) -> str:
        return self.state.edge

    @property
    def target(self) -> str:
        """host:port of the edge, for gRPC."""
        return urlsplit(self.url).netloc

    @property
    def key(self) -> str:
        return read_dev_key(self.layout.dev_key)

    @property
    def restarts(self) -> Mapping[str, int]:
        """The processes that died and were started again, with how often."""
        return {process.name: process.restarts for process in self.state.processes if process.restarts}


@dataclass(frozen=True, slots=True)
class MeshConfig:
    """How a new mesh is configured: further options of `headworks up`, settings by their variables' names, and the
    seconds that it may take until it is ready."""

    options: Sequence[str] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    seconds: float = READY_SECONDS


PLAIN = MeshConfig()


@contextmanager
def running(data: Path | None, say: Callable[[str], None], config: MeshConfig = PLAIN) -> Iterator[Mesh]:
    """The mesh that runs on `data`, left running; or a new one on a temporary directory, stopped at the end.

    Raises BenchError where it does not start, with what it said.
    """
    if data is not None:
        mesh = Mesh(Layout(data.absolute()))
        _require_ready(mesh.state)
        yield mesh
        return
    with tempfile.TemporaryDirectory(prefix="headworks-bench-") as folder, _started(Path(folder), say, config) as mesh:
        yield mesh


@contextmanager
def _started(folder: Path, say: Callable[[str], None], config: MeshConfig) -> Iterator[Mesh]:
    layout = Layout(folder / "data")
    said = folder / "up.log"
    say("starting the mesh")
    with said.open("wb") as log:
        process = subprocess.Popen(
            [_headworks(), "up", "--data", layout.root, "--edge-port", str(pick()), "--json", *config.options],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            env={**_inherited(), **config.settings},
        )  # fmt: skip
    try:
        _wait_ready(process, layout, said, config.seconds)
        mesh = Mesh(layout)
        say(f"the mesh is ready at {mesh.url} after {mesh.state.seconds_to_ready:.1f} s")
        yield mesh
    finally:
        terminate(process, STOP_SECONDS)


def _wait_ready(process: "subprocess.Popen[bytes]", layout: Layout, said: Path, seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        now = state.read(layout.state)
        if now is not None and now.ready and now.phase == "running" and now.seconds_to_ready:
            return
        if process.poll() is not None:
            raise BenchError(f"the mesh did not start (exit code {process.returncode}); it said:\n{end(said)}")
        time.sleep(0.05)
    raise BenchError(f"the mesh was not ready after {seconds:g} s; it said:\n{end(said)}")


def _require_ready(now: MeshState) -> None:
    waiting = [f"{process.name} ({process.reason})" for process in now.processes if not process.ready]
    if waiting:
        raise BenchError(f"the mesh is not ready: {', '.join(waiting)}")


def _headworks() -> str:
    """The command beside this Python."""
    command = Path(sys.executable).with_name("headworks")
    if not command.is_file():
        raise BenchError(f"{command} is missing: run `make setup`")
    return str(command)


def _inherited() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("HEADWORKS_DATA")}
