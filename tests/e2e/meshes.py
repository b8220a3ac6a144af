"""A whole mesh as separate processes, started by the command that users have."""

import json
import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from infra.local.ports import LAST, PortBook

HEADWORKS = Path(sys.executable).with_name("headworks")
READY_SECONDS = 180.0
# An instance takes two seconds of a processor to load torch. The demo is tested with as many as users have.
ENV = {"HEADWORKS_MODELS_PASSAGE_INSTANCES": "1"}
# Tests keep their edge ports from each other; no mesh picks from this range for its other ports.
EDGES = (LAST, LAST + 700)


@dataclass(frozen=True)
class Mesh:
    """A running mesh."""

    data: Path
    supervisor: psutil.Process
    edge: str

    @property
    def key(self) -> str:
        return (self.data / "dev.key").read_text().strip()

    @property
    def target(self) -> str:
        return self.edge.partition("://")[2]

    @property
    def ca(self) -> Path:
        """What signed the certificates of a mesh with --tls."""
        return self.data / "tls" / "ca.crt"

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        return (("authorization", f"Bearer {self.key}"),)

    def state(self) -> dict[str, Any]:
        """What mesh.json says now."""
        return dict(json.loads((self.data / "mesh.json").read_text()))

    def process(self, name: str) -> dict[str, Any]:
        return next(process for process in self.state()["processes"] if process["name"] == name)

    def names(self) -> list[str]:
        return [process["name"] for process in self.state()["processes"]]

    def http(self, **options: Any) -> httpx.Client:
        """A client of the edge, with the key."""
        headers = {"authorization": f"Bearer {self.key}"}
        if self.edge.startswith("https:"):
            options = {"verify": ssl.create_default_context(cafile=self.ca), **options}
        return httpx.Client(base_url=self.edge, headers=headers, timeout=30, **options)

    def command(self, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run a verb of the `headworks` command on this mesh, to its end."""
        return subprocess.run(
            [HEADWORKS, *arguments, "--data", str(self.data)],
            cwd=cwd, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    def kill(self, name: str) -> None:
        """kill -9."""
        os.kill(self.process(name)["pid"], signal.SIGKILL)

    def model_process(self, name: str, model: str) -> psutil.Process:
        """The process of a model, of the Triton of that name."""
        stubs = psutil.Process(self.process(name)["pid"]).children()
        return next(stub for stub in stubs if f"/{model}/" in " ".join(stub.cmdline()))

    def wait_ready(self, seconds: float = READY_SECONDS) -> None:
        wait_for(lambda: bool(self.state()["ready"]), seconds, lambda: json.dumps(self.state(), indent=1))


def wait_for(condition: Callable[[], bool], seconds: float, explain: Callable[[], str] = str) -> None:
    """Return once `condition` holds. AssertionError with what `explain` says after `seconds`."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds:g} s: {explain()}"
        time.sleep(0.05)


def nothing_outlives(mesh: Mesh, number: signal.Signals) -> None:
    """Send the supervisor that signal: all its processes end. The mesh is gone, for all tests."""
    family = mesh.supervisor.children(recursive=True)
    assert len(family) >= 8
    mesh.supervisor.send_signal(number)
    _, left = psutil.wait_procs(family, timeout=30)
    assert not left
    wait_for(lambda: not mesh.supervisor.is_running() or mesh.supervisor.status() == "zombie", 60)


@contextmanager
def running(
    data: Path, *options: str, env: Mapping[str, str] | None = None, seconds: float = READY_SECONDS
) -> Iterator[Mesh]:
    """A mesh that is ready within `seconds`; stopped, with all its processes, at the end, whatever happens."""
    book = PortBook(*EDGES, scope="headworks-tests")
    port = book.take()
    scheme = "https" if "--tls" in options else "http"
    log = data.parent / f"{data.name}.log"
    with log.open("w") as output:
        up = subprocess.Popen(
            [HEADWORKS, "up", "--data", str(data), "--edge-port", str(port), "--json", *options],
            stdout=output, stderr=subprocess.STDOUT, env={**os.environ, **ENV, **(env or {})},
        )  # fmt: skip
    family: list[psutil.Process] = []
    try:
        mesh = Mesh(data, psutil.Process(up.pid), f"{scheme}://127.0.0.1:{port}")
        wait_for(lambda: _ready(mesh, up), seconds, log.read_text)
        family = mesh.supervisor.children(recursive=True)
        yield mesh
    finally:
        up.terminate()
        try:
            up.wait(30)
        except subprocess.TimeoutExpired:
            up.kill()
            up.wait()
        _, left = psutil.wait_procs(family, timeout=10)
        for process in left:
            process.kill()
        book.close()
        assert not left, f"left behind: {left}"


def _ready(mesh: Mesh, up: "subprocess.Popen[bytes]") -> bool:
    assert up.poll() is None, f"`headworks up` ended with {up.returncode}"
    try:
        return bool(mesh.state()["seconds_to_ready"])
    except (OSError, ValueError):
        return False
