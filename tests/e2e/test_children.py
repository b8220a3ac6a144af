"""Processes that services start while gRPC's threads run beside them."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.e2e.meshes import Mesh, running
from tests.e2e.upstreams import models_file, obeying

CALLS = 200
RUNNER = "name: runner\nmodel: upstream\ninstructions: Run code.\ntools: [python]\n"


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    """A mesh whose agent `runner` runs the code that it is told to."""
    folder = tmp_path_factory.mktemp("children")
    with obeying() as upstream:
        (folder / "runner.yaml").write_text(RUNNER)
        catalogue = models_file(folder / "models.yaml", upstream.url, "upstream")
        env = {"HEADWORKS_LLM_MODELS_FILE": str(catalogue)}
        with running(folder / "data", env=env) as mesh:
            applied = mesh.command("agents", "apply", str(folder / "runner.yaml"))
            assert applied.returncode == 0, applied.stdout + applied.stderr
            yield mesh


def test_the_processes_of_the_python_tool_do_not_die_at_random(mesh: Mesh) -> None:
    with mesh.http() as http:

        def run(number: int) -> str:
            told = f"call python {json.dumps({'code': f'{number} * 7'})}"
            body = {"model": "runner", "messages": [{"role": "user", "content": told}]}
            answer = http.post("/v1/chat/completions", json=body).json()
            return str(answer["choices"][0]["message"]["content"] if "choices" in answer else answer)

        with ThreadPoolExecutor(4) as threads:
            said = dict(enumerate(threads.map(run, range(CALLS))))
    wrong = {number: text for number, text in said.items() if text.strip() != str(number * 7)}
    assert not wrong, f"{len(wrong)} of {CALLS}: {list(wrong.items())[:3]}"
    log = Path(mesh.process("orchestrator-0")["log"]).read_text("utf-8")
    assert "started once more" not in log
