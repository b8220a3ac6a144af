"""What HTTP says, whichever face is asked: statuses, types, limits, ids, deadlines, and the end of a process."""

import asyncio
import json
import ssl
import stat
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import REGISTRY

from gateway.faces.http.app import HttpFace
from gateway.faces.http.message import EVENTS, Body, Request, as_json
from gateway.faces.http.routes import Routes, plain_route
from gateway.faces.http.server import HttpServer
from infra.certificates import Folder
from services.runtime.call import Call
from services.runtime.interceptors import Chain, layers
from tests.fakes.certificates import certificates
from tests.fakes.http_calls import HttpCall
from tests.fakes.orchestrator import FakeOrchestrator, events
from tests.fakes.serving import until
from tests.integration.gateway.conftest import HEADERS, MakeGateway

CHAT = "/v1/chat/completions"
ASK = json.dumps({"model": "rag", "messages": [{"role": "user", "content": "why?"}]}).encode()


@pytest.mark.parametrize(
    ("verb", "path", "status", "code"),
    [
        ("GET", "/", 404, "not_found"),
        ("GET", "/v1", 404, "not_found"),
        ("GET", "/v1/models/", 404, "not_found"),
        ("GET", "/v1/models/a/b", 404, "not_found"),
        ("POST", "/v1/nowhere", 404, "not_found"),
        ("POST", "/headworks.gateway.v1.GuardService/Screen", 404, "not_found"),
        ("GET", "/v1/models/%ff", 400, "bad_request"),
        ("GET", "/%c3%28", 400, "bad_request"),
        ("GET", CHAT, 405, "method_not_allowed"),
        ("OPTIONS", CHAT, 405, "method_not_allowed"),
        ("POST", "/v1/models", 405, "method_not_allowed"),
        ("PUT", "/v1/models/rag", 405, "method_not_allowed"),
        ("DELETE", "/v1/admin/tenants", 405, "method_not_allowed"),
    ],
)
async def test_where_nothing_is(make_gateway: MakeGateway, verb: str, path: str, status: int, code: str) -> None:
    """It is said to everybody: a stranger's attempt it is not."""
    gateway = await make_gateway()
    response = await gateway.http.request(verb, path)
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)
    assert response.json()["error"]["type"] == "invalid_request_error"
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-request-id"]


@pytest.mark.parametrize(
    ("verb", "path", "allow"),
    [
        ("GET", CHAT, "POST"),
        ("POST", "/v1/models", "GET, HEAD"),
        ("PATCH", "/v1/admin/roles/r", "DELETE, PUT"),
        ("PUT", "/v1/admin/roles/r:bind", "POST, DELETE, PUT"),
    ],
)
async def test_what_is_allowed_instead(make_gateway: MakeGateway, verb: str, path: str, allow: str) -> None:
    response = await (await make_gateway()).http.request(verb, path)
    if response.status_code == 405:
        assert set(response.headers["allow"].split(", ")) <= set(allow.split(", "))
    else:  # a name with a colon is a name
        assert path.endswith(":bind")


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/rag", "/v1/models/none"])
async def test_head_is_get_without_the_body(make_gateway: MakeGateway, path: str) -> None:
    gateway = await make_gateway()
    whole = await gateway.http.get(path, headers=HEADERS)
    head = await gateway.http.head(path, headers=HEADERS)
    assert (head.status_code, head.content) == (whole.status_code, b"")
    assert head.headers["content-type"] == whole.headers["content-type"]
    assert head.headers["content-length"] == str(len(whole.content))
    assert (await gateway.http.head("/v1/models", headers=HEADERS)).status_code == 200  # the connection goes on


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (None, 200),
        ("application/json", 200),
        ("Application/JSON; charset=UTF-8", 200),
        ('application/json;charset="utf-8"', 200),
        ("application/x-www-form-urlencoded", 415),
        ("text/plain", 415),
        ("application/json; charset=latin-1", 415),
    ],
)
async def test_types_of_bodies(make_gateway: MakeGateway, kind: str | None, status: int) -> None:
    gateway = await make_gateway(FakeOrchestrator(events("Yes.")))
    response = await gateway.http.post(CHAT, content=ASK, headers=HEADERS | ({"content-type": kind} if kind else {}))
    assert response.status_code == status
    assert status == 200 or response.json()["error"]["code"] == "unsupported_media_type"


async def test_a_body_that_is_compressed(make_gateway: MakeGateway) -> None:
    headers = HEADERS | {"content-encoding": "gzip"}
    assert (await (await make_gateway()).http.post(CHAT, content=ASK, headers=headers)).status_code == 415


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize(("over", "status"), [(0, 200), (1, 413)])
async def test_the_longest_body(make_gateway: MakeGateway, chunked: bool, over: int, status: int) -> None:
    gateway = await make_gateway(FakeOrchestrator(events("Yes.")), max_body_bytes=200_000)
    body = ASK[:-1] + b" " * (200_000 - len(ASK) + over) + b"}"

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 10_000):
            yield body[start : start + 10_000]

    content: Any = pieces() if chunked else body
    response = await gateway.http.post(CHAT, content=content, headers=HEADERS)
    assert response.status_code == status
    assert status == 200 or response.json()["error"]["code"] == "request_too_large"


async def test_ids_and_traces_go_on(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway(FakeOrchestrator(events("Yes.")))
    trace = "0af7651916cd43dd8448eb211c80319c"
    headers = {"x-request-id": "req_mine", "traceparent": f"00-{trace}-b7ad6b7169203331-01"}
    response = await gateway.http.post(CHAT, content=ASK, headers=HEADERS | headers)
    assert response.headers["x-request-id"] == "req_mine"
    [behind] = gateway.orchestrator.calls
    assert behind.request_id == "req_mine"
    assert behind.metadata["traceparent"].split("-")[1] == trace
    fresh = await gateway.http.post(CHAT, content=ASK, headers=HEADERS)
    assert fresh.headers["x-request-id"].startswith("req_")


@pytest.mark.parametrize("given", ["0", "-1", "soon", "inf", "nan", "1s", "", "1_0", "1e2", "+1", "0x1", "1."])
async def test_a_deadline_that_is_none(make_gateway: MakeGateway, given: str) -> None:
    response = await (await make_gateway()).http.post(
        CHAT, content=ASK, headers=HEADERS | {"x-headworks-timeout": given}
    )
    assert (response.status_code, response.json()["error"]["param"]) == (400, "x-headworks-timeout")


async def test_a_deadline_in_mid_stream_is_an_event(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway(FakeOrchestrator(events("Yes.", "No."), hold=2))
    answer = await gateway.chat(stream=True, timeout=0.3).whole()
    *_, error, done, _ = answer.data.split(b"\n\n")
    assert json.loads(error.removeprefix(b"data: "))["error"]["code"] == "deadline_exceeded"
    assert done == b"data: [DONE]"
    await until(gateway.orchestrator.left.is_set)


async def test_what_nobody_expected_is_told_by_its_id_alone(make_gateway: MakeGateway) -> None:
    async def broken(request: Request, call: Call) -> AsyncGenerator[Body, None]:
        raise RuntimeError("the secret is sesame")
        yield

    async with small(broken) as http:
        response = await http.get("/v1/x")
    assert (response.status_code, response.json()["error"]["code"]) == (500, "internal")
    assert "sesame" not in response.text
    assert response.json()["error"]["message"].startswith("internal error ")


async def test_a_call_is_counted_and_on_record(make_gateway: MakeGateway, tmp_path: Path) -> None:
    def handled(method: str, code: str) -> float:
        return REGISTRY.get_sample_value("headworks_rpc_handled_total", {"method": method, "code": code}) or 0.0

    gateway = await make_gateway()
    before = handled("GET /v1/models", "OK"), handled("unmatched", "NOT_FOUND")
    assert (await gateway.http.get("/v1/models", headers=HEADERS)).status_code == 200
    assert (await gateway.http.get("/v1/nothing", headers=HEADERS)).status_code == 404
    assert (handled("GET /v1/models", "OK"), handled("unmatched", "NOT_FOUND")) == (before[0] + 1, before[1] + 1)
    listed = await gateway.http.get("/v1/admin/audit", headers=HEADERS)
    assert "GET /v1/models" in listed.text


async def test_more_calls_than_are_served_at_once(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway(FakeOrchestrator(events("Yes."), hold=1), max_concurrent_rpcs=1)
    call = gateway.chat()
    await gateway.orchestrator.held.wait()
    refused = await gateway.http.get("/v1/models", headers=HEADERS)
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "too_many_calls")
    gateway.orchestrator.resume.set()
    await call.whole()
    assert (await gateway.http.get("/v1/models", headers=HEADERS)).status_code == 200


class Slow:
    """Streams, and waits in mid-stream until it is told to go on."""

    def __init__(self) -> None:
        self.begun, self.resume, self.cancelled = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def handler(self, request: Request, call: Call) -> AsyncGenerator[Body, None]:
        yield Body(EVENTS, b"data: 1\n\n")
        self.begun.set()
        try:
            await self.resume.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        yield Body(EVENTS, b"data: 2\n\n")


async def hello(request: Request, call: Call) -> AsyncGenerator[Body, None]:
    yield as_json({"hello": call.method})


def face_of(handler: Any = hello) -> HttpFace:
    chain = Chain(layers(None, 30))
    routes = [plain_route("GET", "/v1/x", handler), plain_route("GET", "/v1/hello", hello)]
    return HttpFace(
        Routes(routes),
        chain,
        chain,
        most_bytes=1000,
        most_calls=100,
        callers=("envoy",),
        vital=("orchestrator", "retrieval", "records"),
    )


class small:  # noqa: N801 (used like a function)
    """A client of a small face, served as long as the block lasts."""

    def __init__(self, handler: Any = hello) -> None:
        self.server = HttpServer(face_of(handler))

    async def __aenter__(self) -> httpx.AsyncClient:
        self.address = await self.server.start(lambda: True)
        self.client = httpx.AsyncClient(base_url=f"http://{self.address}", timeout=10)
        return self.client

    async def __aexit__(self, *_: object) -> None:
        await self.client.aclose()
        await self.server.stop(0)


async def test_a_stopping_server_finishes_its_streams() -> None:
    slow = Slow()
    served = small(slow.handler)
    async with served as http, httpx.AsyncClient(base_url=str(http.base_url)) as envoy:
        call = HttpCall(http, "GET", "/v1/x")
        await slow.begun.wait()
        assert (await envoy.get("/healthz")).status_code == 200
        stopping = asyncio.create_task(served.server.stop(10))
        await asyncio.sleep(0)
        late = await envoy.get("/v1/hello")  # Envoy does not know yet
        assert (late.status_code, late.headers["connection"]) == (200, "close")
        assert late.headers["x-envoy-immediate-health-check-fail"] == "true"
        assert (await envoy.get("/healthz")).status_code == 503

        async def refused() -> bool:
            try:
                await envoy.get("/v1/hello")
            except httpx.TransportError:  # also where it was accepted at the very end
                return True
            return False

        await until(refused)
        assert not stopping.done()
        slow.resume.set()
        assert (await call.whole()).data == b"data: 1\n\ndata: 2\n\n"
        await asyncio.wait_for(stopping, 5)
        assert not slow.cancelled.is_set()


async def test_what_takes_longer_than_the_stop_may_ends_with_an_error() -> None:
    slow = Slow()
    served = small(slow.handler)
    async with served as http:
        call = HttpCall(http, "GET", "/v1/x")
        await slow.begun.wait()
        await asyncio.wait_for(served.server.stop(0.2), 5)
        assert slow.cancelled.is_set()
        first, error, done, rest = (await call.whole()).data.split(b"\n\n")
    assert (first, done, rest) == (b"data: 1", b"data: [DONE]", b"")
    told = json.loads(error.removeprefix(b"data: "))["error"]
    assert (told["code"], told["type"]) == ("unavailable", "server_error")


async def test_a_stop_does_not_wait_for_one_who_does_not_read(tmp_path: Path) -> None:
    async def floods(request: Request, call: Call) -> AsyncGenerator[Body, None]:
        while True:
            yield Body(EVENTS, b"data: " + b"x" * (1 << 20) + b"\n\n")

    server = HttpServer(face_of(floods), socket_path=tmp_path / "x.sock")
    await server.start(lambda: True)
    reader, writer = await asyncio.open_unix_connection(tmp_path / "x.sock", limit=1)
    writer.write(b"GET /v1/x HTTP/1.1\r\nhost: x\r\n\r\n")
    await reader.readexactly(1)
    await asyncio.wait_for(server.stop(0.1), 30)
    writer.close()


async def test_a_process_that_is_not_ready_says_so() -> None:
    server, ready = HttpServer(face_of()), False
    address = await server.start(lambda: ready)
    async with httpx.AsyncClient(base_url=f"http://{address}") as http:
        assert (await http.get("/healthz")).status_code == 503
        ready = True
        assert (await http.get("/healthz")).status_code == 200
    await server.stop(0)


@pytest.mark.parametrize(
    ("well", "missing", "status", "answer"),
    [
        (True, [], 200, {"ready": True, "not_ready": []}),
        (True, ["triton"], 200, {"ready": True, "not_ready": ["triton"]}),
        (True, ["orchestrator"], 503, {"ready": False, "not_ready": ["orchestrator"]}),
        (True, ["records"], 503, {"ready": False, "not_ready": ["records"]}),
        (True, ["retrieval", "triton"], 503, {"ready": False, "not_ready": ["retrieval", "triton"]}),
        (False, [], 503, {"ready": False, "not_ready": ["gateway"]}),
        (False, ["orchestrator"], 503, {"ready": False, "not_ready": ["gateway", "orchestrator"]}),
    ],
)
async def test_readiness_names_the_services_that_are_not_well_and_says_no_more(
    well: bool, missing: list[str], status: int, answer: dict[str, Any]
) -> None:
    server = HttpServer(face_of())
    address = await server.start(lambda: well, lambda: missing)
    async with httpx.AsyncClient(base_url=f"http://{address}") as http:
        response = await http.get("/readyz")
        assert (response.status_code, response.json()) == (status, answer)
        assert set(response.headers) <= {"content-type", "content-length", "x-request-id"}
    await server.stop(0)


async def test_a_socket_is_its_owners_alone_and_replaces_a_dead_one(tmp_path: Path) -> None:
    path = tmp_path / "gateway-0.sock"
    for _ in range(2):  # the second finds what the first has left
        server = HttpServer(face_of(), socket_path=path)
        assert await server.start(lambda: True) == f"unix:{path}"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds=str(path)), base_url="http://x") as http:
            assert (await http.get("/v1/hello")).json() == {"hello": "GET /v1/hello"}
        await server.stop(0)


async def test_a_head_goes_out_with_its_body(tmp_path: Path) -> None:
    """In one write: each wakes Envoy up."""
    slow = Slow()
    server = HttpServer(face_of(slow.handler), socket_path=tmp_path / "x.sock")
    await server.start(lambda: True)
    reader, writer = await asyncio.open_unix_connection(tmp_path / "x.sock")
    writer.write(b"GET /v1/hello HTTP/1.1\r\nhost: x\r\n\r\n")
    head, _, body = (await reader.read(1 << 16)).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert json.loads(body) == {"hello": "GET /v1/hello"}
    writer.write(b"GET /v1/x HTTP/1.1\r\nhost: x\r\n\r\n")
    head, _, body = (await reader.read(1 << 16)).partition(b"\r\n\r\n")
    assert body == b"9\r\ndata: 1\n\n\r\n"
    writer.close()
    await asyncio.wait_for(slow.cancelled.wait(), 5)
    await server.stop(0)


def shows(folder: Folder, name: str) -> httpx.AsyncClient:
    """A client that has the certificate of that name, or none."""
    context = ssl.create_default_context(cafile=folder.ca)
    if name:
        context.load_cert_chain(folder.certificate(name), folder.private_key(name))
    return httpx.AsyncClient(verify=context, timeout=10)


async def test_at_a_port_only_envoys_certificate_is_let_in(tmp_path: Path) -> None:
    folder = certificates(tmp_path)
    server = HttpServer(face_of(), tls=folder.files("gateway"))
    where = f"https://{await server.start(lambda: True)}"
    try:
        async with shows(folder, "envoy") as envoy, shows(folder, "retrieval") as other, shows(folder, "") as nobody:
            assert (await envoy.get(f"{where}/v1/hello")).status_code == 200
            refused = await other.get(f"{where}/v1/hello")
            assert (refused.status_code, refused.json()["error"]["code"]) == (403, "permission_denied")
            assert (await other.get(f"{where}/healthz")).status_code == 200
            with pytest.raises(httpx.TransportError):
                await nobody.get(f"{where}/v1/hello")
            with pytest.raises(httpx.TransportError):
                await nobody.get(f"http{where[5:]}/v1/hello")
    finally:
        await server.stop(0)


async def test_new_certificates_are_shown_and_asked_for_at_the_next_handshake(tmp_path: Path) -> None:
    folder = certificates(tmp_path / "first")
    server = HttpServer(face_of(), tls=folder.files("gateway"))
    where = f"https://{await server.start(lambda: True)}"
    other = certificates(tmp_path / "second")  # of another CA
    try:
        async with shows(folder, "envoy") as before:
            assert (await before.get(f"{where}/v1/hello")).status_code == 200
            for name in ("gateway.crt", "gateway.key", "ca.crt"):
                (folder.root / name).write_bytes((other.root / name).read_bytes())
            async with shows(other, "envoy") as after:
                assert (await after.get(f"{where}/v1/hello")).status_code == 200
            assert (await before.get(f"{where}/v1/hello")).status_code == 200  # on the connection that it has
            (folder.root / "gateway.key").write_bytes((tmp_path / "second" / "envoy.key").read_bytes())
            async with shows(other, "envoy") as again:  # half of a replacement is none
                assert (await again.get(f"{where}/v1/hello")).status_code == 200
    finally:
        await server.stop(0)
