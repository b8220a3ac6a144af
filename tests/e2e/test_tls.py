"""A mesh with --tls: who gets in, who does not, and certificates that are replaced while it runs."""

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from headworks.gateway.v1 import identity_service_pb2, identity_service_pb2_grpc

from tests.e2e.conftest import COLLECTION
from tests.e2e.meshes import HEADWORKS, Mesh, running, wait_for
from tests.fakes.certificates import shown_at

SERVICES = ("retrieval-0", "orchestrator-0", "gateway-0")
TOKEN_SECONDS = 3
CAREFUL = f"""\
name: careful
description: Answers from the handbook once a person allows it.
model: extractive
retrieval: {{mode: always, collections: [{COLLECTION}], required: true}}
approval: {{run: true}}
"""
QUESTION = "Where does the Rhine end?"


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory, handbook: Path) -> Iterator[Mesh]:
    env = {f"HEADWORKS_{name}_IDENTITY_LEEWAY_SECONDS": "0" for name in ("GATEWAY", "ORCHESTRATOR", "RETRIEVAL")}
    env["HEADWORKS_GATEWAY_IDENTITY_SECONDS"] = str(TOKEN_SECONDS)
    with running(tmp_path_factory.mktemp("secured") / "data", "--tls", env=env) as mesh:
        ingested = mesh.command("ingest", ".", "--collection", COLLECTION, "--json", cwd=handbook)
        assert ingested.returncode == 0, ingested.stdout + ingested.stderr
        yield mesh


def port_of(mesh: Mesh, name: str) -> int:
    return int(mesh.process(name)["address"].rpartition(":")[2])


def ask(mesh: Mesh) -> str:
    asked = mesh.command("ask", QUESTION, "--collection", COLLECTION, "--json")
    assert asked.returncode == 0, asked.stderr
    return str(json.loads(asked.stdout)["answer"])


def healthy(credentials: grpc.ChannelCredentials | None, port: int) -> grpc.StatusCode:
    channel: Any = (
        grpc.secure_channel(f"localhost:{port}", credentials)
        if credentials
        else grpc.insecure_channel(f"localhost:{port}")
    )
    with channel:
        try:
            health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=10)
        except grpc.RpcError as error:
            code: grpc.StatusCode = error.code()
            return code
    return grpc.StatusCode.OK


def test_the_edge_answers_over_tls(secured: Mesh) -> None:
    assert "Rotterdam" in ask(secured)
    body = {"model": "rag", "messages": [{"role": "user", "content": QUESTION}], "metadata": {"collection": COLLECTION}}
    with secured.http() as http:
        answer = http.post("/v1/chat/completions", json=body)
    assert answer.status_code == 200
    assert "Rotterdam" in answer.json()["choices"][0]["message"]["content"]
    assert secured.command("status").returncode == 0


def test_the_edge_answers_nobody_without_tls_or_the_ca(secured: Mesh) -> None:
    with pytest.raises(httpx.HTTPError):
        httpx.get(f"http://{secured.target}/v1/models", timeout=10)
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        httpx.get(f"{secured.edge}/v1/models", timeout=10)


@pytest.mark.parametrize("service", SERVICES)
def test_services_answer_none_but_holders_of_a_certificate(secured: Mesh, service: str) -> None:
    port, tls = port_of(secured, service), secured.ca.parent
    roots = secured.ca.read_bytes()
    assert healthy(None, port) == grpc.StatusCode.UNAVAILABLE
    assert healthy(grpc.ssl_channel_credentials(roots), port) == grpc.StatusCode.UNAVAILABLE
    own = ((tls / "operator.key").read_bytes(), (tls / "operator.crt").read_bytes())
    assert healthy(grpc.ssl_channel_credentials(roots, *own), port) == grpc.StatusCode.OK


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("orchestrator", grpc.StatusCode.UNAUTHENTICATED),
        ("retrieval", grpc.StatusCode.PERMISSION_DENIED),
        ("envoy", grpc.StatusCode.PERMISSION_DENIED),
        ("operator", grpc.StatusCode.PERMISSION_DENIED),
    ],
)
def test_the_orchestrator_alone_renews_identities(secured: Mesh, name: str, code: grpc.StatusCode) -> None:
    tls = secured.ca.parent
    pair = ((tls / f"{name}.key").read_bytes(), (tls / f"{name}.crt").read_bytes())
    credentials = grpc.ssl_channel_credentials(secured.ca.read_bytes(), *pair)
    with grpc.secure_channel(f"localhost:{port_of(secured, 'gateway-0')}", credentials) as channel:
        stub: Any = identity_service_pb2_grpc.IdentityServiceStub(channel)
        with pytest.raises(grpc.RpcError) as caught:
            stub.RefreshIdentity(identity_service_pb2.RefreshIdentityRequest(refresh_token="x"), timeout=10)
    assert caught.value.code() is code


def test_a_run_outlives_its_token(secured: Mesh, tmp_path: Path) -> None:
    """It waits for longer than a token is good, and then searches."""
    spec = tmp_path / "careful.yaml"
    spec.write_text(CAREFUL)
    assert secured.command("agents", "apply", str(spec)).returncode == 0
    run_id = json.loads(secured.command("run", "start", "careful", QUESTION, "--detach", "--json").stdout)["run_id"]
    time.sleep(TOKEN_SECONDS + 1)
    decided = secured.command("run", "decide", run_id, "--yes")
    assert decided.returncode == 0, decided.stderr
    shown = ("run", "show", run_id, "--json")
    wait_for(lambda: bool(json.loads(secured.command(*shown).stdout)["finish_reason"]), 20)
    assert "it ended: it answered" in secured.command("run", "explain", run_id).stdout


def test_new_certificates_are_served_without_a_restart(secured: Mesh) -> None:
    pids = {process["name"]: process["pid"] for process in secured.state()["processes"]}
    tls = secured.ca.parent
    before = (tls / "edge.crt").read_text()
    made = subprocess.run([HEADWORKS, "certs", "make", "--out", str(tls), "--force"], timeout=60, check=False)
    assert made.returncode == 0
    assert (tls / "edge.crt").read_text() != before
    ports = {"edge": port_of(secured, "envoy-0"), "gateway": port_of(secured, "gateway-0")}
    wait_for(lambda: all(shown_at(port) == (tls / f"{name}.crt").read_text() for name, port in ports.items()), 60)
    assert "Rotterdam" in ask(secured)
    assert {process["name"]: process["pid"] for process in secured.state()["processes"]} == pids


def test_a_service_that_is_started_anew_is_reached_with_the_new_certificates(secured: Mesh) -> None:
    restarts = secured.process("orchestrator-0")["restarts"]
    secured.kill("orchestrator-0")
    wait_for(lambda: secured.process("orchestrator-0")["restarts"] > restarts, 60)
    secured.wait_ready()
    assert "Rotterdam" in ask(secured)
