"""Bad input gets a clear error in OpenAI's form with the right status, and the mesh goes on."""

import json
from typing import Any

import httpx
import pytest

from tests.e2e.conftest import COLLECTION
from tests.e2e.meshes import Mesh

CHAT = "/v1/chat/completions"


def ask(content: Any = "Where does the Rhine end?", **fields: Any) -> dict[str, Any]:
    metadata = {"collection": COLLECTION}
    return {"model": "rag", "messages": [{"role": "user", "content": content}], "metadata": metadata} | fields


def error(response: httpx.Response) -> dict[str, Any]:
    assert response.headers["content-type"].startswith("application/json")
    assert not [name for name in response.headers if name.startswith(("grpc-", "x-headworks"))]
    found = response.json()["error"]
    assert set(found) == {"message", "type", "param", "code"}
    return dict(found)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (ask("   "), 400, "invalid_argument"),
        (ask("x" * 200_000), 400, "invalid_argument"),
        (ask(model="gpt-none"), 404, "model_not_found"),
        (ask(metadata={"collection": "nowhere"}), 404, "collection_not_found"),
        (ask(metadata={"collection": "../../etc"}), 400, "invalid_argument"),
        (ask(messages=[]), 400, "invalid_argument"),
        (ask(n=2), 400, "invalid_argument"),
        (ask(stream="yes"), 400, "invalid_argument"),
        ([], 400, "invalid_argument"),
    ],
    ids=["empty", "long", "model", "collection", "path", "messages", "n", "stream", "list"],
)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_bad_question(mesh: Mesh, body: Any, status: int, code: str, stream: bool) -> None:
    if isinstance(body, dict) and stream:
        body = {"stream": True, **body}
    with mesh.http() as http:
        response = http.post(CHAT, json=body)
    assert (response.status_code, error(response)["code"]) == (status, code)


@pytest.mark.parametrize(
    "body",
    [b"{", b'{"model": "rag", "messages": [{"role": "user", "content": "\xff\xfe"}]}', b"[" * 100_000, b""],
    ids=["malformed", "invalid-utf8", "nested", "empty"],
)
def test_bytes_that_are_no_json(mesh: Mesh, body: bytes) -> None:
    with mesh.http() as http:
        response = http.post(CHAT, content=body, headers={"content-type": "application/json"})
    assert response.status_code == 400
    assert "JSON" in error(response)["message"]


@pytest.mark.parametrize("header", [None, "Bearer hw_wrong", "Bearer sk-other", "Basic Zm9vOmJhcg=="])
def test_no_key_or_a_wrong_one(mesh: Mesh, header: str | None) -> None:
    headers = {"authorization": header} if header else {}
    for path in ("/v1/models", CHAT):
        method = "GET" if path == "/v1/models" else "POST"
        response = httpx.request(method, mesh.edge + path, headers=headers, json=ask() if method == "POST" else None)
        assert response.status_code == 401
        assert error(response)["code"] == "invalid_api_key"


def test_a_claimed_identity_counts_for_nothing(mesh: Mesh) -> None:
    response = httpx.get(f"{mesh.edge}/v1/models", headers={"x-headworks-identity": "e30.e30.e30"})
    assert response.status_code == 401


def test_a_body_over_the_limit(mesh: Mesh) -> None:
    with mesh.http() as http:
        response = http.post(CHAT, content=json.dumps(ask("x" * (5 << 20))).encode())
    assert response.status_code == 413
    assert error(response)["message"]


def test_paths_that_do_not_exist(mesh: Mesh) -> None:
    with mesh.http() as http:
        for path in ("/", "/v1/nothing", "/headworks.control.v1.ControlService/GetTopology"):
            response = http.get(path)
            assert response.status_code == 404
            assert error(response)["message"]


def test_the_request_id_goes_in_and_out(mesh: Mesh) -> None:
    with mesh.http() as http:
        named = http.get("/v1/models", headers={"x-request-id": "my-request-7"})
        unnamed = http.get("/v1/models")
        refused = http.get("/v1/models/none", headers={"x-request-id": "my-request-8"})
    assert named.headers["x-request-id"] == "my-request-7"
    assert len(unnamed.headers["x-request-id"]) > 8
    assert refused.headers["x-request-id"] == "my-request-8"
    log = (mesh.data / "logs" / "gateway-0.log").read_text()
    assert "my-request-7" in log
    assert "my-request-7" in (mesh.data / "logs" / "orchestrator-0.log").read_text()
