"""A mesh of this version on the data of earlier ones: what was there is there, and goes on."""

import base64
import io
import json
import os
import sqlite3
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from services.runtime import data_format
from tests.e2e.callers import Key, chat, told
from tests.e2e.meshes import HEADWORKS, Mesh, running
from tests.e2e.upstreams import models_file, obeying

FIXTURES = Path(__file__).parents[1] / "fixtures"
FIRST, NEXT = FIXTURES / "data_first", FIXTURES / "data_0_1"
ACME = "hw_acme0000" + "x" * 32
LEFT = "run_orchestrator-0_00000000000000000000000000000001"
KEY_0_1 = "hw_8CBAtDFLb29J34fi2NDQnxhBAEfGWkzl_MV2wIjt"


def database(path: Path, dump: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(dump.read_text())


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    """On the data of the first versions, killed while a run was under way."""
    data = tmp_path_factory.mktemp("first") / "data"
    database(data / "orchestrator/runs.db", FIRST / "runs.sql")
    for name in ("dev.key", "keys.json"):
        (data / name).write_bytes((FIRST / name).read_bytes())
    packed = base64.b64decode((FIRST / "retrieval.tar.xz.base64").read_text())
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        tar.extractall(data, filter="data")
    with running(data, env={"HEADWORKS_GATEWAY_LOGLEVEL": "debug"}) as mesh:
        yield mesh


def test_a_misspelt_setting_is_warned_of_by_the_mesh_and_by_its_service(first: Mesh) -> None:
    warning = "HEADWORKS_GATEWAY_LOGLEVEL is no setting, and has no effect; did you mean HEADWORKS_GATEWAY_LOG_LEVEL?"
    assert warning in first.data.with_name("data.log").read_text()
    assert warning in (first.data / "logs/gateway-0.log").read_text()
    assert warning not in (first.data / "logs/orchestrator-0.log").read_text()


def test_runs_of_the_first_versions_are_listed_and_can_be_read(first: Mesh) -> None:
    runs = told(first, "run", "list", "--limit", "100")["runs"]
    assert len(runs) == 21
    states = {run["id"]: run["state"] for run in runs}
    assert states.pop(LEFT) == "failed"
    assert set(states.values()) == {"succeeded"}
    watched = first.command("run", "watch", next(iter(states)))
    assert watched.returncode == 0, watched.stderr
    assert any(word in watched.stdout for word in ("Rhine", "Danube", "queen", "Drones"))
    explained = first.command("run", "explain", LEFT)
    assert "RUN_INTERRUPTED" in explained.stdout + explained.stderr


def test_a_collection_of_the_first_versions_is_searched_and_added_to(first: Mesh, tmp_path: Path) -> None:
    hits = told(first, "search", "How many eggs does a queen lay?", "--collection", "nature")["hits"]
    assert "two thousand eggs" in hits[0]["text"]
    assert "Rotterdam" in told(first, "ask", "Where does the Rhine flow?", "--collection", "nature")["answer"]
    (tmp_path / "lakes.md").write_text("# Lakes\n\nLake Constance lies on the Rhine, between three countries.\n")
    told(first, "ingest", str(tmp_path / "lakes.md"), "--collection", "nature")
    documents = told(first, "collections")["collections"]
    assert [(one["name"], one["documents"]) for one in documents] == [("nature", 3)]


def test_keys_of_the_first_versions_are_good(first: Mesh) -> None:
    for key in (first.key, ACME):
        answer = httpx.get(f"{first.edge}/v1/models", headers={"authorization": f"Bearer {key}"}, timeout=30)
        assert answer.status_code == 200, answer.text


def test_the_data_says_which_format_it_has(first: Mesh) -> None:
    said = json.loads((first.data / data_format.FILE).read_text())
    assert said == {"format": data_format.FORMAT, "headworks": data_format.product_version()}


@pytest.fixture(scope="module")
def later(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    """On the data of a version with sessions, agents, keys and an audit, from before the format was said."""
    folder = tmp_path_factory.mktemp("later")
    database(folder / "data/orchestrator/runs.db", NEXT / "orchestrator.sql")
    database(folder / "data/gateway/records.db", NEXT / "gateway.sql")
    with obeying() as upstream:
        models = models_file(folder / "models.yaml", upstream.url, "listed")
        with running(folder / "data", env={"HEADWORKS_LLM_MODELS_FILE": str(models)}) as mesh:
            yield mesh


def test_sessions_agents_keys_usage_and_audit_go_on(later: Mesh) -> None:
    key = Key("", KEY_0_1, "")
    before = told(later, "sessions", "get", "rivers")["messages"]
    assert len(before) == 4
    another = chat(later, key, "say The Rhone.", "clerk", metadata={"session_id": "rivers"})
    assert (another.status_code, another.json()["error"]["code"]) == (403, "session_taken")
    assert chat(later, key, "say The Rhone.", "clerk").status_code == 200
    answer = chat(later, Key("", later.key, ""), "say The Rhone.", "clerk", metadata={"session_id": "rivers"})
    assert answer.status_code == 200, answer.text
    after = told(later, "sessions", "get", "rivers")["messages"]
    assert after[:4] == before
    assert [message["content"] for message in after[4:]] == ["say The Rhone.", "The Rhone."]
    assert {(agent["name"], agent["version"]) for agent in told(later, "agents", "list")["agents"]} >= {("clerk", 2)}
    assert "first" in [one["name"] for one in told(later, "keys", "list")["keys"]]
    assert told(later, "audit", "verify")["sound"]
    assert len(told(later, "usage", "list")["calls"]) >= 7
    assert len(told(later, "budgets", "list")["budgets"]) == 1


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ('{"format": 99, "headworks": "9.0.0"}', "was written by Headworks 9.0.0 (data format 99)"),
        ("{", "does not say which format the data has"),
        ('{"format": "2", "headworks": "0.1.0"}', "names no format of data"),
    ],
)
def test_data_that_is_not_understood_is_left_as_it_is(tmp_path: Path, said: str, words: str) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / data_format.FILE).write_text(said)
    before = data.stat().st_mtime_ns
    refused = subprocess.run(
        [HEADWORKS, "up", "--data", str(data)], capture_output=True, text=True, timeout=120, check=False,
        env=dict(os.environ),
    )  # fmt: skip
    assert refused.returncode == 1
    assert words in refused.stderr
    assert [path.name for path in data.iterdir()] == [data_format.FILE]
    assert (data / data_format.FILE).read_text() == said
    assert data.stat().st_mtime_ns == before
