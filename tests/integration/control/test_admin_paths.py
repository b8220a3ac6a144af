"""The administrators' JSON through a real Envoy: verbs, paths, queries and bodies become the calls that they should."""

from collections.abc import AsyncIterator
from typing import Any

import grpc
import httpx
import pytest
from google.api.httpbody_pb2 import HttpBody
from google.protobuf import json_format
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from services.control.resources.retries import ADMIN
from services.control.resources.transcoder import http_binding
from tests.fakes import admin_protos as pb
from tests.integration.control.harness import Gateway, Mesh, serving

pytestmark = pytest.mark.integration


class Asked:
    """Remembers what was asked, and answers with next to nothing."""

    def __init__(self) -> None:
        self.last: tuple[str, dict[str, Any]] | None = None

    def add(self, server: grpc.aio.Server) -> None:
        for service in ADMIN:
            handlers = {method.name: self._handler(method) for method in service.methods}
            server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service.full_name, handlers),))

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
async def asked(mesh: Mesh) -> AsyncIterator[Asked]:
    one = Asked()
    async with serving(Gateway("gateway-0"), admin=one.add) as port:
        await mesh.set_endpoints("gateway", {"gateway-0": port})
        await mesh.healthy(port)
        yield one


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
    assert response.status_code in (404, 405)
    assert asked.last is None
