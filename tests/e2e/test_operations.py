"""What an operator sees: metrics, status, settings, replicas, start and stop."""

import json
import shutil
import subprocess
from pathlib import Path

import httpx
import pytest

from tests.e2e.conftest import COLLECTION
from tests.e2e.meshes import HEADWORKS, Mesh

ROOT = Path(__file__).parents[2]


def test_every_process_shows_its_metrics(mesh: Mesh) -> None:
    targets = json.loads((mesh.data / "prometheus" / "targets.json").read_text())
    shown = {target["labels"]["replica"] for target in targets}
    assert shown == {*mesh.names(), "supervisor"}
    for target in targets:
        path = target["labels"].get("__metrics_path__", "/metrics")
        response = httpx.get(f"http://{target['targets'][0]}{path}")
        assert response.status_code == 200
        assert "# TYPE" in response.text, target


def text_of(mesh: Mesh, replica: str) -> str:
    """A process's metrics."""
    targets = json.loads((mesh.data / "prometheus" / "targets.json").read_text())
    target = next(one for one in targets if one["labels"]["replica"] == replica)
    return httpx.get(f"http://{target['targets'][0]}{target['labels']['__metrics_path__']}").text


def test_each_says_its_version_its_readiness_and_the_space_of_its_data(mesh: Mesh) -> None:
    for replica, data in (
        ("retrieval-0", "collections"), ("orchestrator-0", "records"), ("gateway-0", "records"),
        ("control-0", "topology"), ("supervisor", "mesh"),
    ):  # fmt: skip
        text = text_of(mesh, replica)
        assert f'headworks_data_free_bytes{{data="{data}"}}' in text
        assert "headworks_build_info{" in text
        assert "headworks_ready 1.0" in text or replica == "supervisor"
    supervisor = text_of(mesh, "supervisor")
    for name in mesh.names():
        assert f'headworks_process_ready{{of="{name.rpartition("-")[0]}",process="{name}"}} 1.0' in supervisor
    assert "headworks_process_restarts_total{" in supervisor


def test_health_at_the_edge_needs_no_key_and_says_little(mesh: Mesh) -> None:
    assert httpx.get(f"{mesh.edge}/healthz").status_code == 200
    ready = httpx.get(f"{mesh.edge}/readyz")
    assert (ready.status_code, ready.json()) == (200, {"ready": True, "not_ready": []})


def test_every_log_is_json_with_level_and_service(mesh: Mesh) -> None:
    for name in mesh.names():
        for line in (mesh.data / "logs" / f"{name}.log").read_text().splitlines():
            fields = json.loads(line)
            assert fields["service"] == name.rpartition("-")[0]
            assert fields["level"] in {"debug", "info", "warning", "error", "critical"}


def test_streams_are_counted(mesh: Mesh) -> None:
    with mesh.http() as http:
        body = {"model": "rag", "messages": [{"role": "user", "content": "Where does the Rhine end?"}]}
        http.post("/v1/chat/completions", json=body | {"metadata": {"collection": COLLECTION}}).raise_for_status()
    text = httpx.get(f"http://{mesh.process('orchestrator-0')['metrics']}/metrics").text
    method = 'method="/headworks.orchestrator.v1.OrchestratorService/Run"'
    assert f'headworks_rpc_handled_total{{code="OK",{method}}}' in text
    assert f"headworks_rpc_first_message_seconds_count{{{method}}}" in text
    assert 'headworks_runs_total{finish_reason="STOP",model="rag"}' in text


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed (Debian's package prometheus)")
@pytest.mark.parametrize(
    ("verb", "file"), [(("check", "config"), "prometheus.yml"), (("test", "rules"), "rules.test.yml")]
)
def test_prometheus_accepts_its_configuration(verb: tuple[str, str], file: str) -> None:
    checked = subprocess.run(
        ["promtool", *verb, ROOT / "infra/prometheus" / file],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_status_says_how_each_process_stands(mesh: Mesh) -> None:
    status = json.loads(mesh.command("status", "--json").stdout)
    assert {process["name"] for process in status["processes"]} == set(mesh.names())
    assert all(process["ready"] and process["restarts"] == 0 for process in status["processes"])


def test_the_development_key_is_private(mesh: Mesh) -> None:
    assert mesh.key.startswith("hw_")
    assert (mesh.data / "dev.key").stat().st_mode & 0o777 == 0o600
    secret = mesh.key
    for path in mesh.data.rglob("*"):
        if path.is_file() and path.name != "dev.key" and path.stat().st_size < 10 << 20:
            assert secret.encode() not in path.read_bytes(), path


def test_a_second_up_on_the_same_data_is_refused(mesh: Mesh) -> None:
    second = subprocess.run(
        [HEADWORKS, "up", "--data", mesh.data, "--edge-port", "18999"],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert second.returncode != 0
    assert str(mesh.supervisor.pid) in second.stdout + second.stderr
    assert mesh.state()["ready"]


def test_the_demo_answers_with_citations() -> None:
    demo = subprocess.run(
        [HEADWORKS, "demo", "--timings"], cwd=ROOT, capture_output=True, text=True, timeout=180, check=False
    )
    assert demo.returncode == 0, demo.stdout + demo.stderr
    assert "docs/" in demo.stdout
    assert "gateway" in demo.stdout
