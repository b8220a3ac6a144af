"""The command on agents, runs and sessions, on a mesh without a language model."""

import json
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.callers import told
from tests.e2e.conftest import COLLECTION
from tests.e2e.meshes import HEADWORKS, Mesh, running, wait_for

TOKEN_SECONDS = 3
QUESTION = "How many eggs can the queen lay in a day?"
CAREFUL = f"""\
name: careful
description: Answers from the handbook once a person allows it.
model: extractive
retrieval: {{mode: always, collections: [{COLLECTION}], required: true}}
approval: {{run: true}}
"""


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory, handbook: Path) -> Iterator[Mesh]:
    """A mesh of its own, for its orchestrator is killed; it serves a reranker, has read the handbook, and has an agent
    that asks first.
    Its identity tokens are over long before its tests are, to the second."""
    env = {f"HEADWORKS_{name}_IDENTITY_LEEWAY_SECONDS": "0" for name in ("GATEWAY", "ORCHESTRATOR", "RETRIEVAL")}
    env["HEADWORKS_GATEWAY_IDENTITY_SECONDS"] = str(TOKEN_SECONDS)
    env["HEADWORKS_MODELS_RERANKER"] = "late-interaction"
    env["HEADWORKS_RETRIEVAL_RERANK_SECONDS"] = "30"
    spec = tmp_path_factory.mktemp("specs") / "careful.yaml"
    spec.write_text(CAREFUL)
    with running(tmp_path_factory.mktemp("commands") / "data", env=env) as mesh:
        ingested = mesh.command("ingest", ".", "--collection", COLLECTION, "--json", cwd=handbook)
        assert ingested.returncode == 0, ingested.stdout + ingested.stderr
        assert told(mesh, "agents", "apply", str(spec))["agents"][0]["version"] == 1
        yield mesh


def test_a_search_is_reranked_on_triton(mesh: Mesh) -> None:
    found = told(mesh, "search", QUESTION, "--collection", COLLECTION, "--rerank", "5")
    assert not found["not_reranked"]
    assert found["hits"][0]["signals"]["rerank"]["rank"] == 1
    assert found["timings_ms"]["rerank"] > 0


def test_watching_goes_on_when_the_orchestrator_is_killed(mesh: Mesh) -> None:
    """The run waits, and its process dies. Who watches sees every event once; decided, the run goes on."""
    run_id = told(mesh, "run", "start", "careful", QUESTION, "--detach")["run_id"]
    command = [HEADWORKS, "run", "watch", run_id, "--json", "--data", str(mesh.data), "--timeout", "120"]
    lines: list[dict[str, Any]] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as watching:
        assert watching.stdout is not None
        output = watching.stdout
        reading = threading.Thread(target=lambda: lines.extend(map(json.loads, output)))
        reading.start()
        try:
            wait_for(lambda: any("approval_request" in one for one in lines), 60, lambda: str(lines))
            restarts = mesh.process("orchestrator-0")["restarts"]
            mesh.kill("orchestrator-0")
            wait_for(lambda: mesh.process("orchestrator-0")["restarts"] > restarts, 60)
            mesh.wait_ready()
            waiting = told(mesh, "run", "list", "--state", "waiting")["runs"]
            assert [one["id"] for one in waiting] == [run_id]
            decide = (
                "run",
                "decide",
                run_id,
                "--yes",
                "--comment",
                "so be it",
            )  # refused while the gateway finds the new process
            wait_for(lambda: mesh.command(*decide).returncode == 0, 60)
            wait_for(lambda: watching.poll() is not None, 60, lambda: str(lines[-3:]))
        finally:
            watching.kill()
            reading.join()
        assert watching.returncode == 0
    assert [int(one["sequence"]) for one in lines] == list(range(1, len(lines) + 1))
    assert "2,000 eggs" in "".join(one["text"]["text"] for one in lines if "text" in one)
    assert "finished" in lines[-1]
    log = mesh.command("run", "explain", run_id).stdout
    for words in ("dev approved apr_1: so be it", "retrieved 1 passage", "from Bees: “", "it ended: it answered"):
        assert words in log, log


def stored(mesh: Mesh) -> bytes:
    """All that the orchestrator and the gateway have in their databases, and all logs."""
    found = [*mesh.data.glob("*/*.db*"), *mesh.data.glob("logs/*")]
    assert any(path.name == "runs.db" for path in found)
    return b"".join(path.read_bytes() for path in found)


def test_a_run_outlives_its_token_and_not_its_key(mesh: Mesh) -> None:
    """It waits for longer than a token is good. Then it goes on as its caller, if that is still let in. Nothing that is
    stored meanwhile is a token."""
    account = told(mesh, "accounts", "create", "waiting", "--role", "user")
    made = told(mesh, "keys", "create", account["id"])
    start = ("run", "start", "careful", QUESTION, "--detach")
    runs = [told(mesh, *start, *key)["run_id"] for key in ((), ("--key", made["secret"]))]
    wait_for(lambda: all(told(mesh, "run", "show", run_id)["pending_approvals"] for run_id in runs), 10)
    time.sleep(TOKEN_SECONDS + 1)
    kept = stored(mesh)
    assert b"v1.1" in kept, "a refresh token"
    assert b"eyJ" not in kept, "an identity token"
    told(mesh, "keys", "revoke", made["id"])
    for run_id in runs:
        told(mesh, "run", "decide", run_id, "--yes")
    wait_for(lambda: all(told(mesh, "run", "show", run_id)["finish_reason"] for run_id in runs), 20)
    logs = [mesh.command("run", "explain", run_id).stdout for run_id in runs]
    assert "it ended: it answered" in logs[0], logs[0]
    assert "RUN_IDENTITY_REFUSED" in logs[1], logs[1]


def test_a_run_that_a_person_refuses(mesh: Mesh) -> None:
    run_id = told(mesh, "run", "start", "careful", QUESTION, "--detach")["run_id"]
    wait_for(lambda: bool(told(mesh, "run", "show", run_id)["pending_approvals"]), 60)
    told(mesh, "run", "decide", run_id, "--no")
    again = mesh.command("run", "decide", run_id, "apr_1", "--yes")
    assert again.returncode == 1
    assert "APPROVAL_DECIDED" in again.stderr
    wait_for(lambda: told(mesh, "run", "show", run_id)["finish_reason"] == "rejected", 60)


def test_a_session_is_kept_shown_and_deleted(mesh: Mesh) -> None:
    for question in (QUESTION, "How long does a worker live?"):
        asked = mesh.command("ask", question, "--session", "bees", "--collection", COLLECTION, "--json")
        assert asked.returncode == 0, asked.stderr
    messages = told(mesh, "sessions", "get", "bees")["messages"]
    assert [one["role"] for one in messages] == ["user", "assistant"] * 2
    assert "six weeks" in messages[-1]["content"]
    assert [one["id"] for one in told(mesh, "sessions", "list")["sessions"]] == ["bees"]
    assert told(mesh, "sessions", "delete", "bees") == {"deleted": "bees"}
    assert mesh.command("sessions", "get", "bees").returncode == 1


def test_agents_are_compared_and_deleted(mesh: Mesh, tmp_path: Path) -> None:
    spec = tmp_path / "careful.yaml"
    spec.write_text(CAREFUL.replace("allows it", "says yes"))
    assert told(mesh, "agents", "diff", str(spec))["same"] is False
    assert told(mesh, "agents", "apply", str(spec))["agents"][0]["version"] == 2
    assert mesh.command("agents", "get", "careful@1", "--yaml").stdout == CAREFUL
    assert told(mesh, "agents", "delete", "careful@2")["deleted"] == 1
    assert [one["version"] for one in told(mesh, "agents", "list", "careful")["agents"]] == [1]
    bad = mesh.command("agents", "get", "nobody")
    assert bad.returncode == 1
    assert "headworks agents list" in bad.stderr
