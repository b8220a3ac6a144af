"""What callers of the edge see: real Envoy, configured by a real control, before a gateway that does as it is told."""

import asyncio
import base64
import json
import struct
from typing import Any

import grpc
import httpx
import pytest
from headworks.control.v1 import control_service_pb2, control_service_pb2_grpc
from headworks.orchestrator.v1 import orchestrator_service_pb2 as pb
from headworks.orchestrator.v1 import orchestrator_service_pb2_grpc as pb_grpc

from cli import program
from tests.integration.control.harness import EDGE_TOKEN, Gateway, Mesh, openai_error, until_async

CHAT = "/v1/chat/completions"
STATUSES = [400, 401, 403, 404, 405, 415, 429, 499, 500, 503, 504]


def assert_openai_error(response: httpx.Response, status: int, code: str) -> None:
    assert response.status_code == status
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-request-id"]
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["code"] == code
    assert error["param"] is None


@pytest.mark.parametrize(
    ("method", "path", "body", "answer"),
    [
        ("POST", CHAT, {"a": 1}, {"replica": "gateway-0", "length": 7}),
        ("POST", "/v1/embeddings", {"input": "x"}, {"replica": "gateway-0", "length": 13}),
        ("GET", "/v1/models", None, {"replica": "gateway-0", "length": 0}),
        ("GET", "/v1/models?unknown=1", None, {"replica": "gateway-0", "length": 0}),
        ("GET", "/v1/models/rag", None, {"replica": "gateway-0", "length": 0}),
        ("DELETE", "/v1/admin/tenants/a", None, {"replica": "gateway-0", "length": 0}),
    ],
)
async def test_json_in_json_out(
    gateway: Gateway, http: httpx.AsyncClient, method: str, path: str, body: Any, answer: Any
) -> None:
    response = await http.request(method, path, content=json.dumps(body, separators=(",", ":")) if body else None)
    assert (response.status_code, response.json()) == (200, answer)
    assert response.headers["content-type"] == "application/json"
    assert not [name for name in response.headers if name.startswith("grpc-")]


async def test_events_come_as_they_are_made(gateway: Gateway, http: httpx.AsyncClient) -> None:
    async with http.stream("POST", CHAT, json={"do": "stream"}) as response:
        assert response.headers["content-type"] == "text/event-stream"
        chunks = response.aiter_raw()
        assert await anext(chunks) == b"data: first\n\n"
        gateway.released.set()
        assert b"".join([chunk async for chunk in chunks]) == b"data: second\n\ndata: [DONE]\n\n"


async def test_a_caller_who_leaves_cancels_the_call(gateway: Gateway, mesh: Mesh) -> None:
    async with httpx.AsyncClient(base_url=mesh.url) as client:
        asking = asyncio.create_task(client.post(CHAT, json={"do": "hang"}))
        await until_async(lambda: gateway.served == 1, "the gateway is called")
        asking.cancel()
        async with asyncio.timeout(60):
            await gateway.cancelled.wait()


@pytest.mark.parametrize("path", [CHAT, "/v1/embeddings"])
@pytest.mark.parametrize("status", STATUSES)
async def test_the_gateways_errors_are_the_body(
    gateway: Gateway, http: httpx.AsyncClient, path: str, status: int
) -> None:
    response = await http.post(path, json={"do": "fail", "status": status})
    assert response.status_code == status
    assert response.content.decode() == openai_error(status)
    assert response.headers["content-type"] == "application/json"
    assert response.headers["content-length"] == str(len(response.content))
    assert response.headers["retry-after"] == "7"
    assert not [name for name in response.headers if name.startswith(("grpc-", "x-headworks-"))]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/metrics"),
        ("GET", "/healthz/more"),
        ("POST", "/healthz"),
        ("POST", "/readyz"),
        ("GET", "/readyz/more"),
        ("GET", "/v1"),
        ("POST", "/headworks.control.v1.ControlService/GetTopology"),
        ("POST", "/headworks.retrieval.v1.RetrievalService/Search"),
        ("POST", "/v1/../headworks.control.v1.ControlService/GetTopology"),
    ],
)
async def test_nothing_else_is_there(gateway: Gateway, http: httpx.AsyncClient, method: str, path: str) -> None:
    assert_openai_error(await http.request(method, path, content=b"{}"), 404, "not_found")
    assert gateway.served == 0


async def test_health_needs_no_key_and_readiness_is_the_gateways_word(
    gateway: Gateway, mesh: Mesh, http: httpx.AsyncClient
) -> None:
    for path in ("/healthz", "/healthz?a=b"):
        alive = await http.get(path)
        assert (alive.status_code, alive.text) == (200, "ok\n")
    assert gateway.served == 0
    assert (await http.get("/readyz")).json() == {"replica": "gateway-0", "length": 0}
    assert (await http.head("/readyz")).status_code == 200
    await mesh.set_endpoints("gateway", {})
    await mesh.healthy()
    assert (await http.get("/healthz")).status_code == 200
    for path in ("/readyz", "/readyz?a=b"):
        unready = await http.get(path)
        assert (unready.status_code, unready.json()) == (503, {"ready": False, "not_ready": ["gateway"]})
        assert unready.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    "verb",
    [["collections"], ["models"], ["tenants", "list"], ["ingest", "README.md"], ["ask", "Why?"], ["run", "list"]],
)
async def test_the_command_says_in_its_own_words_that_no_gateway_answers(
    gateway: Gateway, mesh: Mesh, capsys: pytest.CaptureFixture[str], verb: list[str]
) -> None:
    await mesh.set_endpoints("gateway", {})
    await mesh.healthy()
    assert await asyncio.to_thread(program.run, [*verb, "--edge", mesh.url, "--key", "hw_x"]) == 1
    said = capsys.readouterr().err
    assert f"no gateway answers behind {mesh.url}: the mesh is starting" in said
    assert "`headworks status`" in said
    assert "upstream" not in said


async def test_a_gateway_that_hangs_is_not_ready(gateway: Gateway, http: httpx.AsyncClient) -> None:
    gateway.hangs_at = b"/readyz"
    unready = await http.get("/readyz")
    assert (unready.status_code, unready.json()) == (503, {"ready": False, "not_ready": ["gateway"]})


async def test_control_cannot_be_reached_through_the_edge(
    gateway: Gateway, mesh: Mesh, http: httpx.AsyncClient
) -> None:
    async with grpc.aio.insecure_channel(mesh.address) as channel:
        stub = control_service_pb2_grpc.ControlServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.GetTopology(control_service_pb2.GetTopologyRequest(), timeout=10)
    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED
    web = {"content-type": "application/grpc-web+proto"}
    response = await http.post("/headworks.control.v1.ControlService/GetTopology", content=b"", headers=web)
    assert (response.status_code, response.content) == (404, b"")


@pytest.mark.parametrize("path", [CHAT, "/v1/embeddings"])
async def test_a_body_over_the_limit(gateway: Gateway, http: httpx.AsyncClient, path: str) -> None:
    assert_openai_error(await http.post(path, content=b"a" * ((4 << 20) + 1)), 413, "request_too_large")
    assert gateway.served == 0


async def test_a_body_at_the_limit(gateway: Gateway, http: httpx.AsyncClient) -> None:
    body = json.dumps({"text": "a" * ((4 << 20) - 100)}).encode()
    response = await http.post(CHAT, content=body)
    assert response.json() == {"replica": "gateway-0", "length": len(body)}


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"x-long": "a" * 9000}, 431, "headers_too_large"),
        ({f"x-{n}": "a" for n in range(120)}, 431, "headers_too_large"),
        ({"with_underscore": "a"}, 400, "bad_request"),
    ],
)
async def test_headers_have_limits(
    gateway: Gateway, http: httpx.AsyncClient, headers: dict[str, str], status: int, code: str
) -> None:
    assert_openai_error(await http.get("/v1/models", headers=headers), status, code)


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        ("GET /v1/models HTTP/1.1\r\nconnection: upgrade\r\nupgrade: websocket\r\n", 403, "permission_denied"),
        ("POST /v1/models HTTP/1.1\r\ntransfer-encoding: deflate\r\n", 501, "not_implemented"),
        ("POST /v1/models HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: -1\r\n", 400, "bad_request"),
        ("GET /v1/models HTTP/1.1\r\nno colon\r\n", 400, "bad_request"),
    ],
    ids=["websocket", "encoding", "length", "header"],
)
async def test_what_never_gets_as_far_as_a_gateway(
    gateway: Gateway, mesh: Mesh, request_: str, status: int, code: str
) -> None:
    reader, writer = await asyncio.open_connection(*mesh.address.split(":"))
    writer.write(f"{request_}host: edge\r\n\r\n".encode())
    async with asyncio.timeout(30):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = int(head.lower().partition("content-length: ")[2].partition("\r\n")[0])
        body = await reader.readexactly(length)
    writer.close()
    assert head.startswith(f"HTTP/1.1 {status} ")
    assert "\r\nx-request-id: " in head
    assert json.loads(body)["error"]["code"] == code
    assert gateway.served == 0


async def test_headers_of_the_mesh_are_not_for_callers(gateway: Gateway, http: httpx.AsyncClient, mesh: Mesh) -> None:
    evil = {"X-Headworks-Identity": "forged", "x-headworks-replica": "gateway-9", "x-headworks-other": "a"}
    evil |= {"x-headworks-edge": "a" * 32, "X-Headworks-Request-Id": "forged"}
    evil |= {"x-envoy-retry-on": "5xx", "x-envoy-original-path": "/a", "x-envoy-upstream-rq-timeout-ms": "1"}
    await http.post(CHAT, json={}, headers=evil)
    async with grpc.aio.insecure_channel(mesh.address) as channel:
        metadata = tuple((key.lower(), value) for key, value in evil.items())
        await pb_grpc.OrchestratorServiceStub(channel).ListModels(pb.ListModelsRequest(), timeout=10, metadata=metadata)
    assert len(gateway.seen) == 2
    for seen in gateway.seen:
        assert {name for name in seen if name.startswith("x-headworks-")} <= {"x-headworks-timeout", "x-headworks-edge"}
        assert seen["x-headworks-edge"] == EDGE_TOKEN
        assert seen["x-request-id"] != "forged"
        assert "x-envoy-retry-on" not in seen
        assert "x-envoy-original-path" not in seen
        assert seen.get("x-headworks-timeout") in (None, "4")


async def test_a_request_id_is_kept_or_made_and_always_returned(gateway: Gateway, http: httpx.AsyncClient) -> None:
    ours = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"
    first = await http.get("/v1/models", headers={"x-request-id": ours})
    second = await http.get("/v1/models")
    assert first.headers["x-request-id"] == ours == gateway.seen[0]["x-request-id"]
    assert len(second.headers["x-request-id"]) == 36
    assert second.headers["x-request-id"] == gateway.seen[1]["x-request-id"] != ours
    assert (await http.get("/nothing")).headers["x-request-id"]
    for plain in ("task-42", "a/b+c=d:e.f_g", "high_1", "b" * 128):
        assert (await http.get("/v1/models", headers={"x-request-id": plain})).headers["x-request-id"] == plain


@pytest.mark.parametrize(
    "given",
    [
        "what is said", "a" * 129, "a" * 5000, "a,b", "ada@example.com", "hw_0123456789abcdef", "sk-0123456789abcdef",
        "eyJhbGciOi.eyJzdWIi.c2ln", "\u00e9", "<script>", "", "a\tb",
    ],
)  # fmt: skip
async def test_an_id_that_is_free_text_is_replaced(
    gateway: Gateway, http: httpx.AsyncClient, mesh: Mesh, given: str
) -> None:
    response = await http.get("/v1/models", headers={b"x-request-id": given.encode()})
    made = response.headers["x-request-id"]
    assert len(made) == 36
    assert [seen["x-request-id"] for seen in gateway.seen] == [made]
    await logged(mesh, made)
    assert not given or len(given) < 4 or given not in mesh.log.read_text()


async def test_an_id_of_a_request_that_is_refused_unread_is_not_logged(gateway: Gateway, mesh: Mesh) -> None:
    for path in ("/v1/models/%00", "/v1/a%2fb"):
        head = f"GET {path} HTTP/1.1\r\nhost: edge\r\nx-request-id: unread words\r\n\r\n"
        reader, writer = await asyncio.open_connection(*mesh.address.split(":"))
        writer.write(head.encode())
        async with asyncio.timeout(30):
            assert b" 400 " in await reader.readline()
        writer.close()
    await until_async(lambda: len([one for one in mesh.access_log() if one["status"] == 400]) >= 2, "both are logged")
    assert "unread words" not in mesh.log.read_text()


async def logged(mesh: Mesh, request_id: str) -> dict[str, Any]:
    """The request's line in the access log, once it is there."""

    def lines() -> list[dict[str, Any]]:
        return [line for line in mesh.access_log() if line["request_id"] == request_id]

    await until_async(lambda: bool(lines()), "the request is logged")
    [line] = lines()
    return line


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/v1/models?api_key=hw_0123456789abcdef", "/v1/models"),
        ("/v1/models?q=what%20is%20said#x", "/v1/models"),
        ("/v1/models/rag", "/v1/models/rag"),
        ("/v1/models/risk-task-1", "/v1/models/risk-task-1"),
        ("/v1/models/a-sk-0123456789", "[redacted]"),
        ("/v1/models/eyJ0123456789.eyJ0.c2ln", "[redacted]"),
        ("/v1/models/hw_0123456789abcdef", "[redacted]"),
        ("/v1/models/%68w_0123456789abcdef", "[redacted]"),
        ("/v1/models/ada@example.com", "[redacted]"),
        ("/v1/models/what%20is%20said", "[redacted]"),
        ("/v1/models/" + "d" * 3000, "/v1/models/" + "d" * 245),
        ("/nothing/sk-0123456789", "[redacted]"),
        ("http://ada:hw_0123456789abcdef@edge/v1/models?key=hw_0123456789", "/v1/models"),
    ],
)
async def test_the_access_log_shows_no_secret_of_a_path(gateway: Gateway, mesh: Mesh, path: str, shown: str) -> None:
    reader, writer = await asyncio.open_connection(*mesh.address.split(":"))
    writer.write(f"GET {path} HTTP/1.1\r\nhost: edge\r\nconnection: close\r\n\r\n".encode())
    async with asyncio.timeout(30):
        head = (await reader.read()).decode()
    writer.close()
    line = await logged(mesh, head.partition("x-request-id: ")[2].partition("\r\n")[0])
    assert line["path"] == shown
    log = mesh.log.read_text()
    assert not [one for one in ("0123456789", "ada@", "said", "what%20is", "d" * 300) if one in log]


async def test_the_gateway_is_told_the_time_limit(gateway: Gateway, http: httpx.AsyncClient) -> None:
    await http.post(CHAT, json={})
    await http.post(CHAT, json={}, headers={"x-headworks-timeout": "0.5"})
    assert [seen["x-headworks-timeout"] for seen in gateway.seen] == ["4", "0.5"]


async def test_what_takes_too_long_is_504(gateway: Gateway, http: httpx.AsyncClient) -> None:
    response = await http.post(CHAT, json={"do": "hang"})
    assert_openai_error(response, 504, "timeout")
    assert "HEADWORKS_CONTROL_REQUEST_TIMEOUT_SECONDS" in response.json()["error"]["message"]
    async with asyncio.timeout(60):
        await gateway.cancelled.wait()


async def test_native_grpc_passes_untouched(gateway: Gateway, mesh: Mesh) -> None:
    async with grpc.aio.insecure_channel(mesh.address) as channel:
        stub: Any = pb_grpc.OrchestratorServiceStub(channel)
        answer = await stub.ListModels(pb.ListModelsRequest(), timeout=10)
        assert [model.id for model in answer.models] == ["gateway-0"]
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.GetRun(pb.GetRunRequest(run_id="none"), timeout=10)
        assert (caught.value.code(), caught.value.details()) == (grpc.StatusCode.NOT_FOUND, "in words for gRPC")
        trailing: Any = caught.value.trailing_metadata()
        assert dict(trailing)["x-more"] == "a"
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.GetRun(pb.GetRunRequest(run_id="hang"), timeout=0.3)
        assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
        assert len([one async for one in stub.Run(pb.RunRequest(), timeout=10)]) == 3


async def test_grpc_web(gateway: Gateway, http: httpx.AsyncClient) -> None:
    frame = struct.pack(">BI", 0, 0)
    path = "/headworks.orchestrator.v1.OrchestratorService/ListModels"
    headers = {"content-type": "application/grpc-web+proto", "x-grpc-web": "1", "origin": "https://app.example"}
    response = await http.post(path, content=frame, headers=headers)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/grpc-web+proto"
    assert response.headers["access-control-allow-origin"] == "https://app.example"
    length = struct.unpack(">BI", response.content[:5])[1]
    answer = pb.ListModelsResponse.FromString(response.content[5 : 5 + length])
    assert [model.id for model in answer.models] == ["gateway-0"]
    assert b"grpc-status:0" in response.content[5 + length :].replace(b" ", b"")

    text = {**headers, "content-type": "application/grpc-web-text", "accept": "application/grpc-web-text"}
    response = await http.post(path, content=base64.b64encode(frame), headers=text)
    assert response.headers["content-type"].startswith("application/grpc-web-text")


async def test_browsers_ask_first(gateway: Gateway, http: httpx.AsyncClient) -> None:
    asked = {"access-control-request-method": "POST", "access-control-request-headers": "authorization"}
    for path in (CHAT, "/headworks.orchestrator.v1.OrchestratorService/ListModels"):
        good = await http.options(path, headers={"origin": "https://app.example", **asked})
        assert good.status_code == 200
        assert good.headers["access-control-allow-origin"] == "https://app.example"
    bad = await http.options(CHAT, headers={"origin": "https://evil.example", **asked})
    assert "access-control-allow-origin" not in bad.headers


async def test_the_access_log(gateway: Gateway, http: httpx.AsyncClient, mesh: Mesh) -> None:
    await http.post(
        CHAT,
        json={"do": "fail", "status": 404},
        headers={"x-request-id": "logged", "authorization": "Bearer hw_secret", "user-agent": "some words"},
    )

    def lines() -> list[dict[str, Any]]:
        return [line for line in mesh.access_log() if line["request_id"] == "logged"]

    await until_async(lambda: bool(lines()), "the request is logged")
    [line] = lines()
    assert (line["method"], line["path"], line["status"]) == ("POST", CHAT, 404)
    assert line["upstream_host"].startswith("127.0.0.1:")
    assert not [one for one in ("hw_secret", "some words") if one in mesh.log.read_text()]


async def test_no_replica_at_all(mesh: Mesh, http: httpx.AsyncClient) -> None:
    await mesh.set_endpoints("gateway", {})
    await mesh.healthy()
    assert_openai_error(await http.post(CHAT, json={}), 503, "unavailable")
    assert_openai_error(await http.get("/v1/models"), 503, "unavailable")
    async with grpc.aio.insecure_channel(mesh.address) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await pb_grpc.OrchestratorServiceStub(channel).ListModels(pb.ListModelsRequest(), timeout=10)
    assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
    assert "{" not in (caught.value.details() or "")
