"""What else comes through the edge: browsers, reflection, large answers, callers who set a deadline."""

import socket
import struct
import time
from collections.abc import Iterator

import grpc
import pytest
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from headworks.orchestrator.v1 import orchestrator_service_pb2 as pb
from headworks.orchestrator.v1 import orchestrator_service_pb2_grpc as pb_grpc
from headworks.orchestrator.v1 import run_pb2

from tests.e2e.conftest import COLLECTION
from tests.e2e.meshes import Mesh

RUN = "/headworks.orchestrator.v1.OrchestratorService/Run"
TRAILERS = 0x80


def frames(body: bytes) -> Iterator[tuple[int, bytes]]:
    """The frames of a gRPC-Web body: flag and content."""
    at = 0
    while at < len(body):
        flag, length = struct.unpack_from(">BI", body, at)
        yield flag, body[at + 5 : at + 5 + length]
        at += 5 + length


def test_grpc_web(mesh: Mesh) -> None:
    message = run_pb2.Message(role=run_pb2.Message.ROLE_USER, content="Where does the Rhine end?")
    request = pb.RunRequest(messages=[message], collection=COLLECTION).SerializeToString()
    with mesh.http() as http:
        response = http.post(
            RUN, content=struct.pack(">BI", 0, len(request)) + request,
            headers={"content-type": "application/grpc-web+proto", "x-grpc-web": "1"},
        )  # fmt: skip
    assert response.status_code == 200
    sent = list(frames(response.content))
    events = [event for flag, data in sent if not flag for event in pb.RunResponse.FromString(data).events]
    assert "Rotterdam" in "".join(event.text.text for event in events)
    (trailers,) = [data for flag, data in sent if flag == TRAILERS]
    assert b"grpc-status:0" in trailers.replace(b" ", b"")


def test_reflection_names_the_services(mesh: Mesh) -> None:
    with grpc.insecure_channel(mesh.target) as channel:
        services = set(ProtoReflectionDescriptorDatabase(channel).get_services())
    assert {
        "headworks.gateway.v1.ApiKeyService",
        "headworks.gateway.v1.AuditService",
        "headworks.orchestrator.v1.OrchestratorService",
        "headworks.retrieval.v1.RetrievalService",
        "grpc.health.v1.Health",
    } <= services


@pytest.mark.parametrize("host", ["host: there.example\r\n", ""])
def test_http_of_old(mesh: Mesh, host: str) -> None:
    """As proxies and health checks of others speak it."""
    name, _, port = mesh.target.rpartition(":")
    with socket.create_connection((name, int(port)), timeout=20) as connection:
        connection.sendall(f"GET /healthz HTTP/1.0\r\n{host}\r\n".encode())
        answer = b"".join(iter(lambda: connection.recv(4096), b""))
    assert b" 200 " in answer.split(b"\r\n", 1)[0]


@pytest.mark.parametrize("kib", [9, 15, 40])
def test_headers_that_are_let_in_are_taken_over_grpc_too(mesh: Mesh, kib: int) -> None:
    with grpc.insecure_channel(mesh.target) as channel:
        stub = pb_grpc.OrchestratorServiceStub(channel)
        for _ in range(10):
            stub.ListRuns(
                pb.ListRunsRequest(),
                metadata=(*mesh.metadata, *((f"x-big-{part}", "x" * 1000) for part in range(kib))),
                timeout=20,
            )


def test_the_largest_embeddings_answer(mesh: Mesh) -> None:
    body = {"model": "all-minilm-l6-v2", "input": ["short text"] * 2048, "encoding_format": "float"}
    with mesh.http() as http:
        response = http.post("/v1/embeddings", json=body)
    assert response.status_code == 200
    assert len(response.json()["data"]) == 2048


def test_a_deadline_in_json(mesh: Mesh) -> None:
    body = {"model": "rag", "messages": [{"role": "user", "content": "Where does the Rhine end?"}]}
    limit = {"x-headworks-timeout": "0.002"}
    with mesh.http() as http:
        started = time.monotonic()
        response = http.post(
            "/v1/chat/completions",
            json=body | {"metadata": {"collection": COLLECTION}},
            headers=limit,
        )
    assert response.status_code == 504
    assert response.json()["error"]["type"] == "timeout_error"
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    "sent", [b"", b"{", b"POST /v1/chat", b"\x00" * 100], ids=["nothing", "brace", "line", "zeros"]
)
def test_half_a_request_leaves_nothing_behind(mesh: Mesh, sent: bytes) -> None:
    """A body that is announced and never comes whole, and a caller who is gone before the answer."""
    host, _, port = mesh.target.partition(":")
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {mesh.key}\r\n"
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(head.encode() + b"content-length: 1000\r\n\r\n" + sent)
    with mesh.http() as http:
        assert http.get("/v1/models").status_code == 200
