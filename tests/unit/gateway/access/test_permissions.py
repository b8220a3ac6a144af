"""The permission table: every method there is, and what its requests need."""

import importlib
import pkgutil
from collections.abc import Container
from typing import Any

import headworks.gateway.v1
import headworks.orchestrator.v1
import headworks.retrieval.v1
import pytest
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from headworks.orchestrator.v1 import agent_service_pb2 as agents
from headworks.orchestrator.v1 import orchestrator_service_pb2 as runs
from headworks.orchestrator.v1 import session_service_pb2 as sessions
from headworks.retrieval.v1 import retrieval_service_pb2 as retrieval

from gateway.access.authorize import authorize, may_grant, tenant_for
from gateway.access.authorizer import Authorizer
from gateway.access.permissions import HTTP, TABLE, nothing
from gateway.app import SERVED
from gateway.faces.http.message import Request
from services.runtime.call import Call
from services.runtime.contract import path
from services.runtime.errors import InvalidArgument, PermissionDenied
from services.runtime.identity import Identity

PACKAGES = (headworks.gateway.v1, headworks.orchestrator.v1, headworks.retrieval.v1)


# What the gateway itself asks of the services behind it, and nobody else does.
NOT_SERVED = frozenset({"headworks.orchestrator.v1.DataService"})


def all_services() -> list[ServiceDescriptor]:
    """Every service that there is, of the gateway and behind it."""
    found: list[ServiceDescriptor] = []
    for package in PACKAGES:
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            if module.name.endswith("_service_pb2"):
                found += importlib.import_module(module.name).DESCRIPTOR.services_by_name.values()
    return found


def services(also: Container[str] = ()) -> list[ServiceDescriptor]:
    """Every service that the gateway serves, and those of `also`."""
    return [one for one in all_services() if one.full_name not in NOT_SERVED or one.full_name in also]


METHODS = [method for service in services() for method in service.methods]


def call_of(method: MethodDescriptor, *scopes: str) -> Call:
    return Call(path(method), identity=Identity("acme", "ann", frozenset(scopes)))


@pytest.mark.parametrize("method", METHODS, ids=lambda method: str(method.full_name))
def test_every_method_has_an_entry(method: MethodDescriptor) -> None:
    needs = TABLE[method.containing_service.full_name][method.name]
    asked = needs(GetMessageClass(method.input_type)())
    assert all(permission.count(":") >= 1 and not permission.startswith("*") for permission in asked)


def test_the_table_has_no_method_that_there_is_not() -> None:
    there = {service.full_name: {method.name for method in service.methods} for service in services()}
    assert {service: set(entries) for service, entries in TABLE.items()} == there


def test_what_is_not_served_is_there() -> None:
    assert {service.full_name for service in all_services()} >= NOT_SERVED


def test_the_gateway_serves_what_the_table_has() -> None:
    assert {service.full_name for service in SERVED} == set(TABLE)


def test_a_method_without_an_entry_keeps_the_gateway_from_starting() -> None:
    [service] = sessions.DESCRIPTOR.services_by_name.values()
    with pytest.raises(LookupError, match="DeleteSession"):
        Authorizer([service], {service.full_name: dict.fromkeys(("GetSession", "ListSessions"), nothing)})


def test_a_path_of_http_without_an_entry_keeps_it_from_starting_too() -> None:
    gate = Authorizer(services())
    gate.check([*HTTP, path(METHODS[0])])
    with pytest.raises(LookupError, match="GET /v1/secrets"):
        gate.check(["GET /v1/secrets"])


@pytest.mark.parametrize(
    ("name", "params", "needed"),
    [("GET /v1/models", {}, "models.read:*"), ("GET /v1/models/{model}", {"model": "m"}, "models.read:m")],
)
def test_what_a_path_of_http_needs(name: str, params: dict[str, str], needed: str) -> None:
    gate = Authorizer(services())
    who = Identity("acme", "ann", frozenset({needed}))
    gate.admit(Call(name, identity=who), Request(params))
    with pytest.raises(PermissionDenied, match="is missing"):
        gate.admit(Call(name, identity=Identity("acme", "ann", frozenset({"models.call:*"}))), Request(params))


FREE = ("Screen", "RefreshIdentity")


@pytest.mark.parametrize(
    "method", [method for method in METHODS if method.name not in FREE], ids=lambda method: str(method.full_name)
)
@pytest.mark.parametrize("form", ["bytes", "message", "none"])
def test_nothing_is_allowed_by_default(method: MethodDescriptor, form: str) -> None:
    gate = Authorizer(services())
    message = GetMessageClass(method.input_type)()
    request = {"bytes": message.SerializeToString(), "message": message, "none": None}[form]
    with pytest.raises(PermissionDenied) as caught:
        gate.admit(call_of(method), request)
    needed = caught.value.details["permission"]
    assert needed in caught.value.message
    gate.admit(call_of(method, needed, "*"), request)
    gate.admit(call_of(method, needed), request)


NEEDS: list[tuple[Message, list[str]]] = [
    (runs.RunRequest(), ["models.call:rag"]),
    (runs.RunRequest(model="analyst@7"), ["models.call:analyst"]),
    (runs.RunRequest(model="@7"), ["models.call:rag"]),
    (
        runs.RunRequest(model="a", collection="c", session_id="s"),
        ["models.call:a", "collections.read:c", "sessions.write:s"],
    ),
    (runs.AttachRequest(run_id="run_1"), ["runs.read:run_1"]),
    (runs.CancelRequest(run_id="run_1"), ["runs.write:run_1"]),
    (runs.DecideRequest(run_id="run_1"), ["runs.decide:run_1"]),
    (runs.GetRunRequest(run_id="run_1"), ["runs.read:run_1"]),
    (runs.ListRunsRequest(session_id="s"), ["runs.read:*"]),
    (agents.ApplyAgentRequest(spec="name: a"), ["agents.write:*"]),
    (agents.GetAgentRequest(name="a", version=2), ["agents.read:a"]),
    (agents.ListAgentsRequest(), ["agents.read:*"]),
    (agents.ListAgentsRequest(name="a"), ["agents.read:a"]),
    (agents.DeleteAgentRequest(name="a"), ["agents.write:a"]),
    (sessions.GetSessionRequest(session_id="s"), ["sessions.read:s"]),
    (sessions.DeleteSessionRequest(session_id="s"), ["sessions.write:s"]),
    (retrieval.IngestRequest(), ["collections.write:default"]),
    (retrieval.IngestRequest(open=retrieval.IngestOpen(collection="c")), ["collections.write:c"]),
    (retrieval.SearchRequest(), ["collections.read:default"]),
    (retrieval.SearchRequest(collection="c"), ["collections.read:c"]),
    (retrieval.GetDocumentRequest(collection="c", document_id="d"), ["collections.read:c"]),
    (retrieval.DeleteDocumentRequest(collection="c"), ["collections.write:c"]),
    (retrieval.ListDocumentsRequest(collection="c"), ["collections.read:c"]),
    (retrieval.CreateCollectionRequest(name="c"), ["collections.write:c"]),
    (retrieval.ReembedCollectionRequest(name="c"), ["collections.write:c"]),
    (retrieval.DeleteCollectionRequest(name="c"), ["collections.delete:c"]),
]


@pytest.mark.parametrize(("request_", "needed"), NEEDS, ids=lambda value: str(value).replace("\n", " "))
def test_what_a_request_needs(request_: Message, needed: list[str]) -> None:
    [method] = [one for one in METHODS if one.input_type.full_name == request_.DESCRIPTOR.full_name]
    gate = Authorizer(services())
    data = request_.SerializeToString()
    gate.admit(call_of(method, *needed), data)
    for missing in needed:
        with pytest.raises(PermissionDenied, match="is missing"):
            gate.admit(call_of(method, *(one for one in needed if one != missing)), data)


def test_bytes_that_are_no_message() -> None:
    gate = Authorizer(services())
    [method] = [one for one in METHODS if one.name == "Search"]
    with pytest.raises(InvalidArgument):
        gate.admit(call_of(method, "*"), b"\xff\xff")


def test_what_is_not_in_the_table_is_denied() -> None:
    everything: Any = frozenset({"*"})
    gate = Authorizer(services())
    with pytest.raises(PermissionDenied):
        gate.admit(Call("/headworks.new.v1.NewService/Do", identity=Identity("acme", "ann", everything)), b"")
    with pytest.raises(PermissionDenied):
        gate.admit(Call(path(METHODS[0])), b"")


def test_nobody_gives_more_than_they_have() -> None:
    admin = Identity("acme", "ann", frozenset({"admin.keys:*", "models.*:*"}))
    may_grant(admin, ["models.call:*", "admin.keys:read"])
    for more in ("*", "runs.read:*", "admin.*:read"):
        with pytest.raises(PermissionDenied, match="away"):
            may_grant(admin, [more])


def test_another_tenant_is_for_operators() -> None:
    admin, operator = Identity("acme", "a", frozenset({"admin.keys:*"})), Identity("ops", "o", frozenset({"*"}))
    assert tenant_for(admin, "", "read") == tenant_for(admin, "acme", "write") == "acme"
    assert tenant_for(operator, "acme", "write") == "acme"
    with pytest.raises(PermissionDenied, match=r"admin\.tenants:read"):
        tenant_for(admin, "other", "read")
    with pytest.raises(PermissionDenied):
        authorize(admin, "models.call:rag")
