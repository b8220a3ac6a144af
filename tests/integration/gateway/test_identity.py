"""Who is let in, and as whom."""

import asyncio
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from headworks.orchestrator.v1 import orchestrator_service_pb2 as pb
from headworks.orchestrator.v1 import orchestrator_service_pb2_grpc as pb_grpc
from headworks.orchestrator.v1 import run_pb2
from headworks.retrieval.v1 import retrieval_service_pb2, retrieval_service_pb2_grpc

from gateway.identity.refresh_tokens import RefreshTokens
from services.runtime.identity import IDENTITY_KEY, REFRESH_KEY
from tests.fakes.http_calls import HttpCall, Refused
from tests.fakes.identity import Keys
from tests.fakes.orchestrator import RUN_ID, FakeOrchestrator, events
from tests.fakes.serving import until
from tests.integration.gateway.conftest import BEARER, KEY, MakeGateway, rows

STRANGERS = [
    (),
    (("authorization", ""),),
    (("authorization", KEY),),
    (("authorization", "Bearer"),),
    (("authorization", "Bearer "),),
    (("authorization", f"Basic {KEY}"),),
    (("authorization", f"Bearer {KEY[:-1]}"),),
    (("authorization", f"Bearer {KEY}b"),),
    (("authorization", f"Bearer {KEY} {KEY}"),),
    (("authorization", "Bearer hw_" + "b" * 40),),
    (("authorization", "Bearer sk-" + "a" * 40),),
    (("x-api-key", f"{KEY}b"),),
    (("api-key", "sk-" + "a" * 40),),
    (("x-headworks-identity", "x.y.z"),),
]


@pytest.mark.parametrize("metadata", STRANGERS, ids=str)
@pytest.mark.parametrize("face", ["openai", "native"])
async def test_strangers_are_refused(make_gateway: MakeGateway, face: str, metadata: Any) -> None:
    gateway = await make_gateway()
    if face == "openai":
        headers = {name: value.strip() for name, value in metadata}
        with pytest.raises(Refused) as refused:
            await HttpCall(gateway.http, "POST", "/v1/embeddings", b"{}", headers).whole()
        error = refused.value.error
        assert (refused.value.status, error["code"], error["type"]) == (401, "invalid_api_key", "authentication_error")
        assert refused.value.headers["www-authenticate"] == 'Bearer realm="headworks"'
    else:
        call = pb_grpc.OrchestratorServiceStub(gateway.channel).GetRun(pb.GetRunRequest(), metadata=metadata)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert gateway.orchestrator.calls == []


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("authorization", f"Bearer {KEY}"),
        ("authorization", f"bearer {KEY}"),
        ("authorization", f"BEARER {KEY} "),
        ("x-api-key", KEY),
        ("api-key", KEY),
    ],
)
async def test_a_key_is_let_in(make_gateway: MakeGateway, name: str, header: str) -> None:
    gateway = await make_gateway()
    stub = pb_grpc.OrchestratorServiceStub(gateway.channel)
    await stub.GetRun(pb.GetRunRequest(), metadata=((name, header),))
    assert gateway.orchestrator.calls[0].tenant == "acme"


async def test_an_identity_that_a_caller_claims_is_replaced(make_gateway: MakeGateway, keys: Keys) -> None:
    """Even one that the gateway itself has signed, for somebody else."""
    gateway = await make_gateway()
    stub = pb_grpc.OrchestratorServiceStub(gateway.channel)
    claimed = keys.metadata("other")
    for metadata in ((*BEARER, *claimed), (*claimed, *BEARER), (*claimed, *BEARER, *claimed)):
        await stub.GetRun(pb.GetRunRequest(), metadata=metadata)
    assert [call.tenant for call in gateway.orchestrator.calls] == ["acme"] * 3
    assert all(call.token != claimed[0][1] for call in gateway.orchestrator.calls)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.GetRun(pb.GetRunRequest(), metadata=claimed)
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_the_key_itself_goes_no_further(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway()
    await pb_grpc.OrchestratorServiceStub(gateway.channel).GetRun(pb.GetRunRequest(), metadata=BEARER)
    behind = gateway.orchestrator.calls[0].metadata
    assert "authorization" not in behind
    assert KEY not in str(behind)
    assert IDENTITY_KEY in behind


async def test_health_is_open_to_all(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway()
    answered = await health_pb2_grpc.HealthStub(gateway.channel).Check(health_pb2.HealthCheckRequest())
    assert answered.status != health_pb2.HealthCheckResponse.UNKNOWN


async def test_who_comes_past_the_edge_does_not_say_from_where(make_gateway: MakeGateway, tmp_path: Path) -> None:
    """Another account of the machine, at the gateway's own port: its bad keys are counted as one address's."""
    (tmp_path / "edge.token").write_text("t" * 40 + "\n")
    gateway = await make_gateway(
        edge_token_file=tmp_path / "edge.token", stranger_burst=3, stranger_attempts_per_second=0.001
    )
    stub = pb_grpc.OrchestratorServiceStub(gateway.channel)

    async def attempt(number: int, *more: tuple[str, str]) -> grpc.StatusCode:
        bad = (("authorization", f"Bearer hw_{number:040}"), ("x-forwarded-for", f"9.9.9.{number}"), *more)
        return await stub.GetRun(pb.GetRunRequest(), metadata=bad).code()

    unknown, too_many = grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.RESOURCE_EXHAUSTED
    assert [await attempt(number) for number in range(5)] == [unknown] * 3 + [too_many] * 2
    assert await attempt(5, ("x-headworks-edge", "u" * 40)) == too_many
    assert [await attempt(number, ("x-headworks-edge", "t" * 40)) for number in range(5)] == [unknown] * 5
    await stub.GetRun(pb.GetRunRequest(), metadata=BEARER)


@pytest.mark.parametrize("text", ["", "short", "t" * 31, "t" * 257, "t" * 40 + " u", "é" * 40])
async def test_a_token_that_is_none_is_refused(make_gateway: MakeGateway, tmp_path: Path, text: str) -> None:
    (tmp_path / "edge.token").write_text(text)
    with pytest.raises(ValueError, match="one token of 32 to 256"):
        await make_gateway(edge_token_file=tmp_path / "edge.token")


async def test_callers_at_once_keep_their_own_request_ids(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway()
    stub = pb_grpc.OrchestratorServiceStub(gateway.channel)
    ids = {f"req_{number}" for number in range(50)}
    await asyncio.gather(*(stub.GetRun(pb.GetRunRequest(), metadata=(*BEARER, ("x-request-id", one))) for one in ids))
    assert {call.request_id for call in gateway.orchestrator.calls} == ids


async def test_a_run_and_who_follows_it_get_what_their_identity_is_renewed_by(
    make_gateway: MakeGateway, keys: Keys
) -> None:
    """And no other call does: a refresh token is the orchestrator's business alone."""
    gateway = await make_gateway(FakeOrchestrator(events("one")))
    stub = pb_grpc.OrchestratorServiceStub(gateway.channel)
    message = run_pb2.Message(role=run_pb2.Message.ROLE_USER, content="why?")
    assert [each async for each in stub.Run(pb.RunRequest(messages=[message]), metadata=BEARER)]
    assert [each async for each in stub.Attach(pb.AttachRequest(run_id=RUN_ID), metadata=BEARER)]
    started, looked = gateway.orchestrator.calls
    (attached,) = gateway.orchestrator.attached
    for call in (started, attached):
        opened = RefreshTokens(keys.private_pem, 1).open(call.metadata[REFRESH_KEY])
        assert (opened.tenant, opened.subject, opened.key) == ("acme", "dev", "dev")
    assert REFRESH_KEY not in looked.metadata
    retrieval = retrieval_service_pb2_grpc.RetrievalServiceStub(gateway.channel)
    await retrieval.Search(retrieval_service_pb2.SearchRequest(query="x"), metadata=BEARER).code()
    (searched,) = gateway.retrieval.calls
    assert REFRESH_KEY not in searched.metadata


async def test_the_gateway_follows_a_run_for_longer_than_a_call_and_a_token(
    records_url: str, make_gateway: MakeGateway
) -> None:
    """Its caller is gone. It is followed in as many calls as that takes, each under a token that is good."""
    orchestrator = FakeOrchestrator(events("one"), hold=1)
    orchestrator.cuts = 2
    gateway = await make_gateway(orchestrator, identity_seconds=1, records_url=records_url)
    stub = pb_grpc.OrchestratorServiceStub(gateway.channel)
    message = run_pb2.Message(role=run_pb2.Message.ROLE_USER, content="why?")
    call: Any = stub.Run(pb.RunRequest(messages=[message]), metadata=BEARER)
    await call.read()
    call.cancel()
    written = await until(lambda: rows(records_url, "SELECT completion_tokens FROM usage"))
    assert (len(orchestrator.attached), written) == (3, [(7,)])
