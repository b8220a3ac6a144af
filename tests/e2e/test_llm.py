"""`headworks up --llm`: what is refused before anything starts, when it is ready, and what it survives."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest

from infra.local.layout import Layout
from infra.local.ports import PortBook
from services.models import smollm2
from services.models.layout import SHARED_MEMORY, shared_memory_prefix
from tests.e2e.meshes import EDGES, HEADWORKS, Mesh, running, wait_for
from tests.fakes.random_llm import make_llm
from tests.integration.models.metrics import Metrics

pytest.importorskip("vllm")
ROOT = Path(__file__).parents[2]
READY_SECONDS = 240.0
GONE_SECONDS = 5.0


@pytest.fixture
def metrics_port() -> Iterator[int]:
    book = PortBook(*EDGES, scope="headworks-tests")
    yield book.take()
    book.close()


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (None, "is neither a folder nor a model's name"),
        ({}, "it has no config.json"),
        ({"config.json": '{"model_type": "llama"}', "tokenizer.json": "{}"}, "it has no weights"),
    ],
    ids=["nowhere", "empty", "without-weights"],
)
def test_what_is_no_model_is_named_before_anything_starts(
    tmp_path: Path, files: dict[str, str] | None, said: str
) -> None:
    model, data = tmp_path / "model", tmp_path / "data"
    for name, content in (files or {}).items():
        model.mkdir(exist_ok=True)
        (model / name).write_text(content)
    if files is not None:
        model.mkdir(exist_ok=True)
    found = subprocess.run(
        [HEADWORKS, "up", "--data", str(data), "--llm", str(model)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert found.returncode != 0
    assert str(model) in found.stderr
    assert said in found.stderr
    assert not data.exists()


def test_a_mesh_with_a_model_lives_through_its_engine_and_dies_with_its_supervisor(
    tmp_path: Path, metrics_port: int
) -> None:
    data, model = tmp_path / "data", make_llm(tmp_path / "model")
    env = {"HEADWORKS_MODELS_LLM_METRICS_PORT": str(metrics_port), "HEADWORKS_MODELS_LLM_ENFORCE_EAGER": "true"}
    with running(data, "--llm", str(model), env=env, seconds=READY_SECONDS) as mesh:
        assert Metrics(metrics_port).value("vllm:generation_tokens_total") > 0, "ready means that it has generated"
        restarts = mesh.process("triton-0")["restarts"]
        (engine,) = [one for one in family(mesh) if "VLLM::EngineCore" in " ".join(one.cmdline())]
        engine.kill()
        wait_for(lambda: mesh.process("triton-0")["restarts"] > restarts, 60)
        mesh.wait_ready(READY_SECONDS)
        assert Metrics(metrics_port).value("vllm:generation_tokens_total") > 0
        restarts = mesh.process("triton-0")["restarts"]
        mesh.model_process("triton-0", "llm").kill()
        wait_for(lambda: mesh.process("triton-0")["restarts"] > restarts, 60)
        mesh.wait_ready(READY_SECONDS)
        everything = family(mesh)
        os.kill(mesh.supervisor.pid, signal.SIGKILL)
        wait_for(lambda: not any(runs(one) for one in everything), GONE_SECONDS, lambda: str(everything))
        prefix = shared_memory_prefix(Layout(data).of("triton"))
        wait_for(lambda: not list(SHARED_MEMORY.glob(f"{prefix}*")), GONE_SECONDS)


@pytest.mark.skipif(
    find_spec("gguf") is None or find_spec(smollm2.PACKAGE) is None, reason="SmolLM2 is not installed: make llm"
)
def test_the_demo_talks_and_an_agent_calls_its_tool() -> None:
    demo = subprocess.run(
        [HEADWORKS, "demo", "--llm", "smollm2", "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert demo.returncode == 0, demo.stdout[-2000:] + demo.stderr[-2000:]
    shown = json.loads(demo.stdout)
    assert shown["citations"]
    turns, run = shown["conversation"]["turns"], shown["conversation"]["run"]
    assert [turn["finish_reason"] for turn in turns] == ["stop", "stop"]
    assert "wheel" in turns[0]["answer"]
    assert all(turn["usage"]["completion_tokens"] > 5 for turn in turns)
    assert run["tools"] == [{"name": "calculator", "arguments": {"expression": "17 * 23"}, "result": "391"}]
    assert "391" in run["answer"]


def family(mesh: Mesh) -> list[psutil.Process]:
    return mesh.supervisor.children(recursive=True)


def runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
