"""The administrators' JSON: verbs, paths, queries and bodies become the calls that they should."""

from collections.abc import AsyncIterator
from typing import Any

import grpc
import httpx
import pytest
from google.api.httpbody_pb2 import HttpBody
from google.protobuf import json_format
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from gateway.faces.admin.assembly import SERVICES as ADMIN
from gateway.faces.http.app import HttpFace
from gateway.faces.http.routes import Routes
from gateway.faces.http.server import HttpServer
from gateway.faces.http.transcoding import http_binding, transcoded
from services.runtime.interceptors import Chain
from services.runtime.interceptors.standard import Errors
from services.runtime.server import App
from tests.fakes import admin_protos as pb
from tests.fakes.http_calls import http_of

ADMIN_PATHS = "/v1/admin/"


class Asked:
    """Remembers what was asked, and answers with next to nothing."""

    def __init__(self) -> None:
        self.last: tuple[str, dict[str, Any]] | None = None

    def add(self, server: Any) -> None:
        for service in ADMIN:
            handlers = {method.name: self._handler(method) for method in service.methods}
            server.add_registered_method_handlers(service.full_name, handlers)

    def _handler(self, method: MethodDescriptor) -> Any:
        answer = GetMessageClass(method.output_type)
        make: Any = (
            grpc.unary_stream_rpc_method_handler if method.server_streaming else grpc.unary_unary_rpc_method_handler
        )
        serve = (self._streaming if method.server_streaming else self._unary)(method.name, answer)
        return make(serve, GetMessageClass(method.input_type).FromString, answer.SerializeToString)

    def _note(self, name: str, request: Message) -> None:
        self.last = name, json_format.MessageToDict(request, preserving_proto_field_name=True)

    def _unary(self, name: str, answer: type[Message]) -> Any:
        async def serve(request: Message, context: object) -> Message:
            self._note(name, request)
            if name == "GetTenant":
                tenant = pb.Tenant(id="acme", state=pb.STATE_ACTIVE)
                tenant.create_time.FromJsonString("2026-01-02T03:04:05Z")
                return pb.GetTenantResponse(tenant=tenant)
            return answer()

        return serve

    def _streaming(self, name: str, answer: type[Message]) -> Any:
        async def serve(request: Message, context: object) -> AsyncIterator[Message]:
            self._note(name, request)
            for number in range(3):
                if answer is not pb.EraseDataResponse:
                    yield HttpBody(content_type="text/csv; charset=utf-8", data=f"{number},x\n".encode())
                else:
                    yield pb.EraseDataResponse(kind="runs", erased=number)

        return serve


@pytest.fixture
async def asked() -> Asked:
    return Asked()


@pytest.fixture
async def http(asked: Asked) -> AsyncIterator[httpx.AsyncClient]:
    routes = transcoded(ADMIN, asked.add)
    chain = Chain([Errors()])
    face = HttpFace(Routes(routes), chain, chain, most_bytes=1 << 20, most_calls=100)
    async with http_of(App(lambda server: None, [], beside=[HttpServer(face)])) as client:
        yield client


@pytest.mark.parametrize(
    ("verb", "path", "body", "name", "request_"),
    [
        ("GET", "tenants/acme", None, "GetTenant", {"id": "acme"}),
        ("GET", "tenants?page_size=3&page_token=x", None, "ListTenants", {"page_size": 3, "page_token": "x"}),
        ("PATCH", "tenants/acme", {"state": 2}, "UpdateTenant", {"id": "acme", "state": "STATE_SUSPENDED"}),
        ("POST", "roles/user:bind", {"principal": "p"}, "BindRole", {"role": "user", "principal": "p"}),
        ("PUT", "roles/r", {"permissions": ["a.b:*"]}, "PutRole", {"name": "r", "permissions": ["a.b:*"]}),
        ("DELETE", "roles/r?tenant=t", None, "DeleteRole", {"name": "r", "tenant": "t"}),
        ("POST", "keys/k:rotate", {"overlap": "60s"}, "RotateApiKey", {"id": "k", "overlap": "60s"}),
        ("POST", "keys/k:revoke", {}, "RevokeApiKey", {"id": "k"}),
        ("GET", "usage:sum?by=day&by=key", None, "SumUsage", {"by": ["day", "key"]}),
        ("GET", "usage?since=2026-01-01T00:00:00Z", None, "ListUsage", {"since": "2026-01-01T00:00:00Z"}),
        ("GET", "principals?kind=KIND_USER", None, "ListPrincipals", {"kind": "KIND_USER"}),
        ("GET", "audit:verify?after=7", None, "VerifyAudit", {"after": "7"}),
        ("DELETE", "guards?agent=a", None, "DeleteGuardPolicy", {"agent": "a"}),
    ],
)  # fmt: skip
async def test_what_is_asked(
    asked: Asked, http: httpx.AsyncClient, verb: str, path: str, body: Any, name: str, request_: dict[str, Any]
) -> None:
    response = await http.request(verb, f"/v1/admin/{path}", json=body)
    assert (response.status_code, asked.last) == (200, (name, request_)), response.text
    assert response.headers["content-type"] == "application/json"


async def test_fields_have_the_names_of_the_protos(asked: Asked, http: httpx.AsyncClient) -> None:
    assert (await http.get("/v1/admin/tenants/acme")).json() == {
        "tenant": {
            "id": "acme", "display_name": "", "state": "STATE_ACTIVE", "create_time": "2026-01-02T03:04:05Z",
        }
    }  # fmt: skip


async def test_what_is_exported_comes_as_it_is(asked: Asked, http: httpx.AsyncClient) -> None:
    response = await http.get("/v1/admin/usage:export?tenant=t")
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    assert response.text == "0,x\n1,x\n2,x\n"
    assert asked.last == ("ExportUsage", {"tenant": "t"})


async def test_progress_is_an_array(asked: Asked, http: httpx.AsyncClient) -> None:
    response = await http.post("/v1/admin/data:erase", json={"subject": "ada", "confirm": True})
    assert [one["erased"] for one in response.json()] == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("verb", "path", "body", "word"),
    [
        ("POST", "tenants", "{", "not valid JSON"),
        ("POST", "tenants", "[]", "must be a JSON object"),
        ("POST", "tenants", '{"id": 7}', "id"),
        ("PATCH", "tenants/a", '{"state": "STATE_ODD"}', "STATE_ODD"),
        ("GET", "tenants?page_size=many", None, "page_size"),
        ("GET", "usage?since=yesterday", None, "since"),
        ("GET", "audit:verify?after=1.5", None, "after"),
    ],
)
async def test_what_is_no_request(
    asked: Asked, http: httpx.AsyncClient, verb: str, path: str, body: str | None, word: str
) -> None:
    response = await http.request(verb, f"/v1/admin/{path}", content=body)
    assert (response.status_code, response.json()["error"]["code"]) == (400, "invalid_argument")
    assert word in response.json()["error"]["message"]
    assert asked.last is None


async def test_a_variable_is_decoded_and_comes_before_the_body(asked: Asked, http: httpx.AsyncClient) -> None:
    await http.put("/v1/admin/roles/a%20b%C3%A9", json={"name": "other", "tenant": "t"})
    assert asked.last == ("PutRole", {"name": "a b\u00e9", "tenant": "t"})


@pytest.mark.parametrize(("query", "more"), [("?odd=1", {}), ("", {"odd": {"odd": 1}})])
async def test_fields_that_do_not_exist_are_refused(
    asked: Asked, http: httpx.AsyncClient, query: str, more: dict[str, Any]
) -> None:
    refused = await http.post(f"/v1/admin/tenants{query}", json={"id": "a", **more})
    assert (refused.status_code, asked.last) == (400, None)
    assert "odd" in refused.text


def test_administrators_change_nothing_with_get() -> None:
    for method in pb.METHODS.values():
        verb, path = http_binding(method)
        assert path.startswith(ADMIN_PATHS)
        assert (verb == "GET") is (method.GetOptions().idempotency_level == MethodOptions.NO_SIDE_EFFECTS)


@pytest.mark.parametrize("method", list(pb.METHODS.values()), ids=lambda method: method.name)
async def test_every_method_has_its_path(asked: Asked, http: httpx.AsyncClient, method: Any) -> None:
    verb, template = http_binding(method)
    path = template.replace("{id}", "x").replace("{name}", "x").replace("{role}", "x")
    response = await http.request(verb, path, json={} if verb not in ("GET", "DELETE") else None)
    assert response.status_code == 200, response.text
    assert asked.last is not None
    assert asked.last[0] == method.name


@pytest.mark.parametrize(("verb", "path"), [("POST", "tenants/acme"), ("GET", "nothing"), ("DELETE", "tenants")])
async def test_nothing_else_is_there(asked: Asked, http: httpx.AsyncClient, verb: str, path: str) -> None:
    response = await http.request(verb, f"/v1/admin/{path}")
    assert response.status_code == (404 if path == "nothing" else 405)
    assert asked.last is None
