"""`headworks up --replicas llm=2`: a conversation stays at a replica, and the death of one is not noticed."""

import threading
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.e2e.meshes import Mesh, running, wait_for
from tests.fakes.random_llm import make_llm

pytest.importorskip("vllm")
READY_SECONDS = 300.0
SECONDS = 120.0
CALLERS = 4
SETTINGS = {"ENFORCE_EAGER": "true", "KV_CACHE_GIB": "0.25", "MAX_SEQUENCES": "8"}


class Callers:
    """Ask, each something new, until the block ends. An answer is one token: it has begun or it has not."""

    def __init__(self, mesh: Mesh) -> None:
        self.targets: list[str] = []
        self.wrong: list[str] = []
        self._mesh = mesh
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(number,)) for number in range(CALLERS)]

    def __enter__(self) -> "Callers":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def more(self, count: int = 40) -> None:
        """Wait until so many more were answered."""
        wanted = len(self.targets) + count
        wait_for(lambda: len(self.targets) >= wanted, SECONDS, lambda: f"{len(self.targets)}, {self.wrong[:3]}")

    def _ask(self, number: int) -> None:
        with self._mesh.http() as http:
            asked = 0
            while not self._stop.is_set():
                asked += 1
                answer = http.post("/v1/chat/completions", json=question(f"{number}, {asked}"), timeout=SECONDS)
                if answer.status_code != 200:
                    self.wrong.append(answer.text)
                else:
                    self.targets.append(answer.json()["headworks"]["route"]["target"])


def question(who: str, turns: int = 1) -> dict[str, Any]:
    said = [{"role": "user", "content": f"Caller {who} says {turn}. " * 20} for turn in range(turns)]
    return {"model": "tiny", "max_tokens": 1, "messages": said}


def test_two_replicas_answer_by_one_name_and_one_of_them_may_die(tmp_path: Path) -> None:
    model = make_llm(tmp_path / "tiny")
    env = {f"HEADWORKS_MODELS_LLM_{name}": value for name, value in SETTINGS.items()}
    replicas = ("--llm", str(model), "--replicas", "llm=2")
    with running(tmp_path / "data", *replicas, env=env, seconds=READY_SECONDS) as mesh:
        with mesh.http() as http:
            asked = [http.post("/v1/chat/completions", json=question("one", turns)) for turns in range(1, 6)]
            usages = [answer.json()["usage"]["prompt_tokens_details"]["cached_tokens"] for answer in asked]
            assert len({answer.json()["headworks"]["route"]["target"] for answer in asked}) == 1
            assert usages[0] == 0 < usages[-1], usages
        with Callers(mesh) as callers:
            callers.more()
            assert set(callers.targets) == {"tiny@0", "tiny@1"}
            psutil.Process(mesh.process("triton-1")["pid"]).kill()
            callers.more()
        assert not callers.wrong, callers.wrong[:3]
        status = mesh.command("models", "status")
        assert status.returncode == 0
        assert {"tiny@0", "tiny@1"} <= set(status.stdout.split())
