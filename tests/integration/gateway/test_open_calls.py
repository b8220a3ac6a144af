"""Calls under way end once their callers are let in no more, over the whole gateway, on both faces."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from headworks.gateway.v1 import state_pb2
from headworks.orchestrator.v1 import orchestrator_service_pb2 as runs
from headworks.orchestrator.v1 import orchestrator_service_pb2_grpc as runs_grpc
from headworks.orchestrator.v1 import run_pb2
from headworks.retrieval.v1 import retrieval_service_pb2 as retrieval
from headworks.retrieval.v1 import retrieval_service_pb2_grpc as retrieval_grpc

from services.runtime import statuses
from tests.fakes import admin_protos as admin
from tests.fakes import openai_upstream as fake
from tests.fakes.http_calls import HttpCall, Refused
from tests.fakes.openai_upstream import Exchange, FakeOpenAi, delta
from tests.fakes.orchestrator import FakeOrchestrator, events
from tests.fakes.search import FakeRetrieval
from tests.fakes.serving import until
from tests.integration.gateway.conftest import BEARER, Gateway, MakeGateway, rows

SECONDS = 60
QUESTION = run_pb2.Message(role=run_pb2.Message.ROLE_USER, content="why?")


class Orchestrator(FakeOrchestrator):
    """Its runs stand still after their first text; so does whoever follows one."""

    def __init__(self) -> None:
        super().__init__(events("Yes.", "No."), hold=2)

    async def Attach(self, request: runs.AttachRequest, context: Any) -> AsyncIterator[runs.AttachResponse]:  # noqa: N802
        started = events()[0]
        started.run_id, started.sequence = request.run_id, 1
        yield runs.AttachResponse(events=[started])
        await asyncio.Event().wait()


class Retrieval(FakeRetrieval):
    """Takes what is ingested, and answers nothing."""

    def __init__(self) -> None:
        super().__init__(hold=True)

    async def Ingest(self, requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:  # noqa: N802
        async for _ in requests:
            self.held.set()
        yield retrieval.IngestResponse()


async def speaks_and_waits(exchange: Exchange) -> None:
    await exchange.head()
    await exchange.send(fake.event(delta(content="Yes.")))
    await exchange.gone()


@dataclass
class Caller:
    """Somebody with a key in a project of a tenant of its own."""

    gateway: Gateway
    secret: str
    key: str
    principal: str
    project: str

    @property
    def bearer(self) -> tuple[tuple[str, str]]:
        return (("authorization", f"Bearer {self.secret}"),)

    def ask(self, **fields: Any) -> HttpCall:
        asked = {"messages": [{"role": "user", "content": "why?"}], **fields}
        headers = {"authorization": f"Bearer {self.secret}"}
        return self.gateway.ask("POST", "/v1/chat/completions", json.dumps(asked).encode(), **headers)


async def administer(gateway: Gateway, method: str, request: Message) -> Any:
    described = admin.METHODS[method]
    answer = GetMessageClass(described.output_type).FromString
    call = gateway.channel.unary_unary(admin.path_of(method), lambda message: message.SerializeToString(), answer)
    return await call(request, metadata=BEARER, timeout=20)


async def a_caller(gateway: Gateway, expires: float | None = None) -> Caller:
    await administer(gateway, "CreateTenant", admin.CreateTenantRequest(id="beta"))
    project = (await administer(gateway, "CreateProject", admin.CreateProjectRequest(tenant="beta", name="p"))).project
    kind = admin.Principal.KIND_SERVICE_ACCOUNT
    made = admin.CreatePrincipalRequest(tenant="beta", kind=kind, name="bob")
    principal = (await administer(gateway, "CreatePrincipal", made)).principal
    bound = admin.BindRoleRequest(tenant="beta", role="developer", principal=principal.id)
    await administer(gateway, "BindRole", bound)
    asked = admin.CreateApiKeyRequest(tenant="beta", principal=principal.id, project=project.id)
    if expires is not None:
        asked.expire_time.FromNanoseconds(int((time.time() + expires) * 1e9))
    key = await administer(gateway, "CreateApiKey", asked)
    return Caller(gateway, key.secret, key.key.id, principal.id, project.id)


async def revoke(who: Caller) -> None:
    await administer(who.gateway, "RevokeApiKey", admin.RevokeApiKeyRequest(tenant="beta", id=who.key))


async def rotate(who: Caller) -> None:
    await administer(who.gateway, "RotateApiKey", admin.RotateApiKeyRequest(tenant="beta", id=who.key))


async def suspend_principal(who: Caller) -> None:
    state = state_pb2.STATE_SUSPENDED
    state = state_pb2.STATE_SUSPENDED
    request = admin.UpdatePrincipalRequest(tenant="beta", id=who.principal, state=state)
    await administer(who.gateway, "UpdatePrincipal", request)


async def delete_principal(who: Caller) -> None:
    await administer(who.gateway, "DeletePrincipal", admin.DeletePrincipalRequest(tenant="beta", id=who.principal))


async def delete_project(who: Caller) -> None:
    await administer(who.gateway, "DeleteProject", admin.DeleteProjectRequest(tenant="beta", id=who.project))


async def suspend_tenant(who: Caller) -> None:
    await administer(who.gateway, "UpdateTenant", admin.UpdateTenantRequest(id="beta", state=state_pb2.STATE_SUSPENDED))


async def delete_tenant(who: Caller) -> None:
    await administer(who.gateway, "DeleteTenant", admin.DeleteTenantRequest(id="beta"))


@pytest.fixture
async def gateway(make_gateway: MakeGateway, tmp_path: Path) -> AsyncIterator[Gateway]:
    async with AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(FakeOpenAi(speaks_and_waits).serving())
        model = {"base_url": upstream.url, "model": "small-2026"}
        (tmp_path / "upstreams.yaml").write_text(yaml.safe_dump({"models": {"small": model}}))
        yield await make_gateway(Orchestrator(), retrieval=Retrieval(), upstreams_file=tmp_path / "upstreams.yaml")


Ending = Callable[[], Awaitable[str]]
"""Waits until a call is over; returns how it ended."""


async def grpc_end(call: Any) -> str:
    return statuses.from_rpc_error(await failed(call)).reason


async def failed(call: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await read_on(call)
    return caught.value


async def read_on(call: Any) -> None:
    while await call.read() is not grpc.aio.EOF:  # type: ignore[attr-defined]  # its stubs lack it
        pass


async def native_run(who: Caller) -> Ending:
    stub = runs_grpc.OrchestratorServiceStub(who.gateway.channel)
    call = stub.Run(runs.RunRequest(model="rag", messages=[QUESTION]), metadata=who.bearer, timeout=SECONDS)
    await call.read()
    return lambda: grpc_end(call)


async def native_attach(who: Caller) -> Ending:
    stub = runs_grpc.OrchestratorServiceStub(who.gateway.channel)
    call = stub.Attach(runs.AttachRequest(run_id="run_orchestrator-0_1"), metadata=who.bearer, timeout=SECONDS)
    await call.read()
    return lambda: grpc_end(call)


async def upload(who: Caller) -> Ending:
    async def requests() -> AsyncIterator[retrieval.IngestRequest]:
        yield retrieval.IngestRequest(open=retrieval.IngestOpen(collection="docs"))
        await asyncio.Event().wait()

    stub = retrieval_grpc.RetrievalServiceStub(who.gateway.channel)
    call = stub.Ingest(requests(), metadata=who.bearer, timeout=SECONDS)
    await who.gateway.retrieval.held.wait()
    return lambda: grpc_end(call)


async def unary(who: Caller) -> Ending:
    stub = retrieval_grpc.RetrievalServiceStub(who.gateway.channel)
    call = stub.Search(retrieval.SearchRequest(collection="docs", query="x"), metadata=who.bearer, timeout=SECONDS)
    await who.gateway.retrieval.held.wait()

    async def ended() -> str:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call
        return statuses.from_rpc_error(caught.value).reason

    return ended


async def _events(who: Caller, model: str) -> Ending:
    call = who.ask(model=model, stream=True)
    first = await call.read()

    async def ended() -> str:
        data = first.data + b"".join([part.data async for part in call])
        *_, error, done = data.strip().split(b"\n\n")
        assert done == b"data: [DONE]"
        return str(json.loads(error.removeprefix(b"data: "))["error"]["code"])

    return ended


async def http_run(who: Caller) -> Ending:
    return await _events(who, "rag")


async def http_bare(who: Caller) -> Ending:
    return await _events(who, "small")


async def http_whole(who: Caller) -> Ending:
    call = who.ask(model="rag")
    await who.gateway.orchestrator.held.wait()

    async def ended() -> str:
        with pytest.raises(Refused) as caught:
            await call.whole()
        assert caught.value.status == 401
        return str(caught.value.error["code"])

    return ended


NATIVE = [native_run, native_attach, upload, unary]


@pytest.mark.parametrize("begin", [*NATIVE, http_run, http_bare, http_whole])
async def test_every_call_ends_when_its_key_is_revoked(
    gateway: Gateway, begin: Callable[[Caller], Awaitable[Ending]]
) -> None:
    who = await a_caller(gateway)
    ended = await begin(who)
    await revoke(who)
    async with asyncio.timeout(SECONDS / 2):
        assert await ended() == ("UNAUTHENTICATED" if begin in NATIVE else "invalid_api_key")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (revoke, "UNAUTHENTICATED"), (rotate, "UNAUTHENTICATED"), (suspend_principal, "UNAUTHENTICATED"),
        (delete_principal, "UNAUTHENTICATED"), (delete_project, "UNAUTHENTICATED"),
        (suspend_tenant, "TENANT_SUSPENDED"), (delete_tenant, "UNAUTHENTICATED"),
    ],
)  # fmt: skip
async def test_a_call_ends_whatever_keeps_its_caller_out(
    gateway: Gateway, change: Callable[[Caller], Awaitable[None]], reason: str
) -> None:
    who = await a_caller(gateway)
    ended = await native_run(who)
    await change(who)
    async with asyncio.timeout(SECONDS / 2):
        assert await ended() == reason


async def test_a_call_ends_when_its_key_expires(gateway: Gateway) -> None:
    who = await a_caller(gateway, expires=3)
    ended = await native_run(who)
    async with asyncio.timeout(SECONDS / 2):
        assert await ended() == "UNAUTHENTICATED"


async def test_a_call_ends_when_its_key_leaves_the_operators_file(gateway: Gateway, tmp_path: Path) -> None:
    stub = runs_grpc.OrchestratorServiceStub(gateway.channel)
    call = stub.Run(runs.RunRequest(model="rag", messages=[QUESTION]), metadata=BEARER, timeout=SECONDS)
    await call.read()
    (tmp_path / "keys.json").write_text(json.dumps({"keys": []}))
    async with asyncio.timeout(SECONDS / 2):
        assert await grpc_end(call) == "UNAUTHENTICATED"


async def test_calls_of_others_go_on_and_one_that_ended_is_on_record(gateway: Gateway, tmp_path: Path) -> None:
    who = await a_caller(gateway)
    stub = runs_grpc.OrchestratorServiceStub(gateway.channel)
    other = stub.Run(runs.RunRequest(model="rag", messages=[QUESTION]), metadata=BEARER, timeout=SECONDS)
    await other.read()
    ended = await http_bare(who)
    await revoke(who)
    async with asyncio.timeout(SECONDS / 2):
        assert await ended() == "invalid_api_key"
    assert not other.done()
    other.cancel()

    async def recorded() -> bool:
        query = "SELECT record FROM audit_records WHERE tenant = 'beta'"
        found = [json.loads(record) for (record,) in await rows(f"sqlite:///{tmp_path}/records.db", query)]
        return ("small", "blocked", "cancelled") in {
            (one.get("model"), one["decision"], one.get("reason")) for one in found
        }

    await until(recorded)
