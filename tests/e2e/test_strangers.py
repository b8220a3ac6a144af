"""What another account of the machine finds of a mesh: nothing that answers it, and nothing to read."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import grpc
import httpx
import psutil
import pytest
from envoy.service.discovery.v3 import ads_pb2_grpc, discovery_pb2
from headworks.control.v1 import control_service_pb2 as control
from headworks.control.v1 import control_service_pb2_grpc as control_grpc

from services.models.layout import SHARED_MEMORY, shared_memory_prefix
from services.runtime.triton.wire import pb as triton
from services.runtime.triton.wire import pb_grpc as triton_grpc
from tests.e2e.meshes import Mesh, running, wait_for

NOBODY = 65534
# Reads a list of paths; says which of them user 65534 can open, list or connect to.
STRANGER = """
import json, os, socket, sys
paths, user = json.load(sys.stdin), int(sys.argv[1])
os.setgroups([]); os.setresgid(user, user, user); os.setresuid(user, user, user)
def connect(path):
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
def opened(path):
    done = []
    for way in (lambda: os.close(os.open(path, os.O_RDONLY)), lambda: os.listdir(path), lambda: connect(path)):
        try:
            way()
        except OSError:
            continue
        done.append(path)
    return done
print(json.dumps([path for path in paths if opened(path)]))
"""
ADMIN = ("/", "/config_dump", "/stats", "/listeners", "/quitquitquit", "/drain_listeners", "/logging?level=off",
         "/v2/health/ready", "/v2/repository/index", "/v2/models/embed/unload")  # fmt: skip


@pytest.fixture(params=["plain", "tls"], scope="module")
def mesh_to_enter(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    if request.param == "plain":
        yield request.getfixturevalue("mesh")
        return
    with running(tmp_path_factory.mktemp("entered") / "data", "--tls") as mesh:
        yield mesh


def ports(mesh: Mesh) -> set[int]:
    """All that the mesh's processes listen at, but the edge."""
    family = mesh.supervisor.children(recursive=True)
    found = {
        connection.laddr.port
        for process in family
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert len(found) > len(mesh.names()), "every process has its metrics, and most an address"
    return found - {int(mesh.target.rpartition(":")[2])}


def calls(channel: grpc.Channel) -> list[Any]:
    """What a stranger would ask of control and of Triton."""
    topology: Any = control_grpc.ControlServiceStub(channel)
    inference = triton_grpc.GRPCInferenceServiceStub(channel)
    nowhere = control.SetEndpointsRequest(service="orchestrator")
    cds = discovery_pb2.DiscoveryRequest(
        node={"id": "x"}, type_url="type.googleapis.com/envoy.config.cluster.v3.Cluster"
    )
    xds: Any = ads_pb2_grpc.AggregatedDiscoveryServiceStub(channel)
    return [
        lambda: topology.SetEndpoints(nowhere, timeout=5),
        lambda: topology.GetTopology(control.GetTopologyRequest(), timeout=5),
        lambda: next(topology.WatchTopology(control.WatchTopologyRequest(), timeout=5)),
        lambda: next(xds.StreamAggregatedResources(iter([cds]), timeout=5)),
        lambda: inference.ServerMetadata(triton.ServerMetadataRequest(), timeout=5),
        lambda: inference.RepositoryModelUnload(triton.RepositoryModelUnloadRequest(model_name="embed"), timeout=5),
    ]


def answered(port: int) -> list[str]:
    """What was answered at a port without any credential; metrics, or nothing at all, is no answer."""
    found = []
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        for number, call in enumerate(calls(channel)):
            try:
                call()
            except grpc.RpcError:
                continue
            found.append(f"call {number}")
    for path in ADMIN:
        for method in ("GET", "POST"):
            try:
                response = httpx.request(method, f"http://127.0.0.1:{port}{path}", timeout=5)
            except httpx.HTTPError:
                continue
            if response.status_code < 400 and response.text and "# TYPE" not in response.text:
                found.append(f"{method} {path}")
    return found


def opened(paths: Sequence[Path]) -> list[str]:
    """Those that another user opens."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    said = subprocess.run(
        [sys.executable, "-c", STRANGER, str(NOBODY)], input=json.dumps([str(path) for path in paths]),
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    return list(json.loads(said.stdout))


def test_no_port_but_the_edge_lets_a_stranger_in(mesh_to_enter: Mesh) -> None:
    answers = {port: answered(port) for port in ports(mesh_to_enter)}
    assert not any(answers.values()), answers
    assert mesh_to_enter.state()["ready"]


def test_another_user_reads_no_file_and_opens_no_socket(mesh_to_enter: Mesh) -> None:
    data = mesh_to_enter.data
    memory = list(SHARED_MEMORY.glob(f"{shared_memory_prefix(data / 'triton')}*"))
    sockets = list((data / "run").iterdir())
    assert len(memory) >= 3
    assert len(sockets) == 4 + mesh_to_enter.edge.startswith("http:")  # without TLS identities are renewed at one
    assert opened([data, *data.rglob("*"), *memory]) == []
    assert {stat.st_mode & 0o077 for stat in (path.stat() for path in (*memory, *sockets))} == {0}


def test_what_the_mesh_writes_is_its_owners_alone_whatever_the_umask(mesh_to_enter: Mesh) -> None:
    """Also where somebody opens the data directory itself to others."""
    public = {"public.pem", "backends", "repository"}
    written = [
        path
        for path in mesh_to_enter.data.rglob("*")
        if not path.is_symlink() and not public & set(path.relative_to(mesh_to_enter.data).parts)
    ]
    certificates = {path for path in written if path.suffix == ".crt"}
    open_to_others = [str(path) for path in written if path.lstat().st_mode & 0o077 and path not in certificates]
    assert open_to_others == []


def test_a_stub_that_is_started_anew_hides_its_memory_too(mesh_to_enter: Mesh) -> None:
    prefix = shared_memory_prefix(mesh_to_enter.data / "triton")
    before = set(SHARED_MEMORY.glob(f"{prefix}*"))
    restarts = mesh_to_enter.process("triton-0")["restarts"]  # of a shared mesh: a busy machine may have cost it one
    mesh_to_enter.kill("triton-0")
    wait_for(lambda: mesh_to_enter.process("triton-0")["restarts"] > restarts, 60)
    mesh_to_enter.wait_ready()
    after = set(SHARED_MEMORY.glob(f"{prefix}*"))
    assert after
    assert not before & after
    assert {path.stat().st_mode & 0o077 for path in after} == {0}
