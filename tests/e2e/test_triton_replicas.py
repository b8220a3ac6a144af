"""Two Tritons: one dies while the mesh is asked, and nobody notices."""

import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.e2e.conftest import COLLECTION
from tests.e2e.meshes import Mesh, nothing_outlives, running, wait_for

SECONDS = 60.0
PAUSE = 0.1
ASK = {
    "model": "rag",
    "messages": [{"role": "user", "content": "How many eggs can the queen lay in a day?"}],
    "metadata": {"collection": COLLECTION},
}
EMBED = {"model": "all-minilm-l6-v2", "input": "How many eggs can the queen lay in a day?"}


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory, handbook: Path) -> Iterator[Mesh]:
    """A mesh with two Tritons."""
    with running(tmp_path_factory.mktemp("tritons") / "data", "--replicas", "triton=2") as mesh:
        ingested = mesh.command("ingest", ".", "--collection", COLLECTION, "--json", cwd=handbook)
        assert ingested.returncode == 0, ingested.stdout + ingested.stderr
        yield mesh


class Asking:
    """Asks until the block ends; notes what was not answered, or answered by words alone. Pauses between two asks while
    what was killed starts again, for it wants the processors that they take."""

    def __init__(self, mesh: Mesh) -> None:
        self.answered = 0
        self.wrong: list[Any] = []
        self.pause = 0.0
        self._mesh = mesh
        self._stop = threading.Event()

    def __enter__(self) -> "Asking":
        self._thread = threading.Thread(target=self._ask)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def more(self, count: int = 20) -> None:
        """Wait until so many more were answered."""
        wanted = self.answered + count
        wait_for(lambda: self.answered >= wanted, SECONDS, lambda: f"{self.answered} answered, {self.wrong[:3]}")

    def _ask(self) -> None:
        with self._mesh.http() as http:
            while not self._stop.is_set():
                answer, embedded = http.post("/v1/chat/completions", json=ASK), http.post("/v1/embeddings", json=EMBED)
                if answer.status_code != 200 or answer.json()["headworks"].get("degraded"):
                    self.wrong.append(answer.text)
                if embedded.status_code != 200:
                    self.wrong.append(embedded.text)
                self.answered += 1
                self._stop.wait(self.pause)


@pytest.mark.parametrize("model", ["", "embed"], ids=["whole", "the process of a model"])
@pytest.mark.parametrize("name", ["triton-0", "triton-1"])
def test_one_that_is_killed_is_not_noticed(mesh: Mesh, name: str, model: str) -> None:
    restarts = mesh.process(name)["restarts"]
    with Asking(mesh) as asking:
        asking.more()
        killed = mesh.model_process(name, model) if model else psutil.Process(mesh.process(name)["pid"])
        killed.kill()
        asking.more()
        asking.pause = PAUSE
        wait_for(lambda: mesh.process(name)["restarts"] > restarts, SECONDS)
        wait_for(lambda: bool(mesh.state()["ready"]), SECONDS, lambda: str(mesh.process(name)))
        asking.pause = 0
        asking.more()
    assert not asking.wrong, asking.wrong[:3]


def test_nothing_outlives_a_supervisor_that_is_killed(mesh: Mesh) -> None:
    """The last test of this mesh."""
    nothing_outlives(mesh, signal.SIGKILL)
