"""Keys made by administrators, and what they may do, over the whole gateway."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.api.httpbody_pb2 import HttpBody
from google.protobuf import duration_pb2
from google.protobuf.message import Message
from headworks.gateway.v1 import api_key_pb2, principal_pb2
from headworks.orchestrator.v1 import agent_service_pb2 as agents
from headworks.orchestrator.v1 import orchestrator_service_pb2 as runs
from headworks.orchestrator.v1 import run_pb2
from headworks.orchestrator.v1 import session_service_pb2 as sessions
from headworks.retrieval.v1 import retrieval_service_pb2 as retrieval

from gateway.schema.schema import SCHEMA
from services.runtime.records.schema import Schema
from tests.fakes import admin_protos as admin
from tests.fakes.identity import Keys
from tests.fakes.retrieval import ingest_requests
from tests.fakes.serving import until
from tests.integration.gateway.isolation.world import Answer, World, body, world
from tests.unit.gateway.access.test_permissions import METHODS

QUESTION = "When does the sluice open?"
RUN = "orchestrator.v1.OrchestratorService/Run"
CHAT = "POST /v1/chat/completions"
DENIED = "PERMISSION_DENIED"
# The session that is asked for is another's.
SEES_OTHERS = "sessions.others:read"


@pytest.fixture
async def mesh(keys: Keys, tmp_path: Path, migrated_sqlite: Callable[[Schema, Path], str]) -> AsyncIterator[World]:
    async with world(keys, tmp_path, METHODS, migrated_sqlite(SCHEMA, tmp_path / "records/records.db")) as made:
        yield made


async def key_for(mesh: World, name: str, *scopes: str, role: str = "admin") -> api_key_pb2.ApiKey:
    """A new service account with a key that is narrowed to the scopes."""
    kind = principal_pb2.Principal.KIND_SERVICE_ACCOUNT
    account = (await mesh.admin("CreatePrincipal", admin.CreatePrincipalRequest(kind=kind, name=name))).principal
    await mesh.admin("BindRole", admin.BindRoleRequest(role=role, principal=account.id))
    made = await mesh.admin("CreateApiKey", admin.CreateApiKeyRequest(principal=account.id, scopes=scopes))
    mesh.secrets[name] = made.secret
    key: api_key_pb2.ApiKey = made.key
    return key


async def ask(mesh: World, who: str, method: str, *requests: Message) -> Answer:
    return await mesh.ask(who, method if " " in method else f"/headworks.{method}", *requests)


def run(**fields: Any) -> Message:
    message = run_pb2.Message(role=run_pb2.Message.ROLE_USER, content=QUESTION)
    made: Message = runs.RunRequest(messages=[message], **fields)
    return made


def chat(**fields: Any) -> Message:
    made: Message = body(messages=[{"role": "user", "content": QUESTION}], **fields)
    return made


CASES: list[tuple[str, Message, list[str]]] = [
    (RUN, run(model="keeper"), ["models.call:keeper"]),
    (RUN, run(model="keeper@1", session_id="s2"), ["models.call:keeper", "sessions.write:s2"]),
    (RUN, run(model="rag", collection="docs"), ["models.call:rag", "collections.read:docs"]),
    (CHAT, chat(model="keeper"), ["models.call:keeper"]),
    (CHAT, chat(model="rag", metadata={"collection": "docs"}), ["models.call:rag", "collections.read:docs"]),
    (CHAT, chat(model="keeper", stream=True), ["models.call:keeper"]),
    (
        "POST /v1/embeddings",
        body(model="all-minilm-l6-v2", input="x"),
        ["embeddings.call:all-minilm-l6-v2"],
    ),
    ("POST /v1/rerank", body(query="x", documents=["x"]), ["embeddings.call:rerank"]),
    ("POST /v2/rerank", body(query="x", documents=["x"]), ["embeddings.call:rerank"]),
    ("GET /v1/models", HttpBody(), ["models.read:*"]),
    ("GET /v1/models/keeper", HttpBody(), ["models.read:keeper"]),
    (
        "retrieval.v1.RetrievalService/Search",
        retrieval.SearchRequest(collection="docs", query="x"),
        ["collections.read:docs"],
    ),
    ("orchestrator.v1.AgentService/GetAgent", agents.GetAgentRequest(name="keeper"), ["agents.read:keeper"]),
    ("orchestrator.v1.SessionService/GetSession", sessions.GetSessionRequest(session_id="s1"), ["sessions.read:s1"]),
]


@pytest.mark.parametrize(("method", "request_", "needed"), CASES, ids=[f"{case[0]}-{case[2]}" for case in CASES])
async def test_what_is_needed_and_nothing_less(mesh: World, method: str, request_: Message, needed: list[str]) -> None:
    await key_for(mesh, "enough", *needed, SEES_OTHERS)
    answer = await ask(mesh, "enough", method, request_)
    assert answer.code is grpc.StatusCode.OK
    for missing in needed:
        others = [one for one in needed if one != missing]
        await key_for(mesh, f"without-{missing}", *others, "runs.read:*", SEES_OTHERS)
        answer = await ask(mesh, f"without-{missing}", method, request_)
        assert (answer.code, answer.reason) == (grpc.StatusCode.PERMISSION_DENIED, DENIED)


async def test_an_upload_is_refused_at_its_first_message(mesh: World) -> None:
    await key_for(mesh, "writer", "collections.write:notes")
    await key_for(mesh, "reader", "collections.read:*")
    method = "retrieval.v1.RetrievalService/Ingest"
    assert (await ask(mesh, "writer", method, *ingest_requests({"a": "A."}, "notes"))).code is grpc.StatusCode.OK
    for who, collection in (("writer", "docs"), ("reader", "notes")):
        given = (("authorization", f"Bearer {mesh.secrets[who]}"),)
        call = mesh.channel.stream_stream(f"/headworks.{method}", lambda message: message.SerializeToString())
        begun = call(metadata=given)
        await begun.write(ingest_requests({}, collection)[0])  # and no more: the answer comes before the end
        assert await begun.code() is grpc.StatusCode.PERMISSION_DENIED


async def test_the_error_names_the_permission_in_either_form(mesh: World) -> None:
    await key_for(mesh, "nobody", "models.read:none")
    given = (("authorization", f"Bearer {mesh.secrets['nobody']}"),)
    call = mesh.channel.unary_stream(f"/headworks.{RUN}", lambda message: message.SerializeToString())
    failed = call(run(model="keeper"), metadata=given)
    assert "models.call:keeper" in await failed.details()
    error = json.loads((await ask(mesh, "nobody", CHAT, chat(model="keeper"))).messages[0].data)["error"]
    assert (error["type"], error["code"]) == ("permission_error", "permission_denied")
    assert "models.call:keeper" in error["message"]


async def test_a_key_is_good_at_once_and_gone_within_a_second(mesh: World) -> None:
    key = await key_for(mesh, "ann")
    method, request = "orchestrator.v1.OrchestratorService/ListRuns", runs.ListRunsRequest()
    assert (await ask(mesh, "ann", method, request)).code is grpc.StatusCode.OK
    rotated = await mesh.admin(
        "RotateApiKey", admin.RotateApiKeyRequest(id=key.id, overlap=duration_pb2.Duration(seconds=60))
    )
    mesh.secrets["new"] = rotated.secret
    for who in ("ann", "new"):
        assert (await ask(mesh, who, method, request)).code is grpc.StatusCode.OK
    started = time.monotonic()
    await mesh.admin("RevokeApiKey", admin.RevokeApiKeyRequest(id=rotated.key.id))

    async def refused() -> bool:
        return (await ask(mesh, "new", method, request)).code is grpc.StatusCode.UNAUTHENTICATED

    await until(refused)
    assert time.monotonic() - started < 1
    assert (await ask(mesh, "ann", method, request)).code is grpc.StatusCode.OK


async def test_nobody_gives_away_more_than_they_have(mesh: World) -> None:
    await key_for(mesh, "clerk", "admin.keys:*", "admin.roles:*", "models.*:*")
    principal = mesh.ids["principal"]  # who has the role of a user
    attempts: list[tuple[str, Message]] = [
        ("CreateApiKey", admin.CreateApiKeyRequest(principal=principal)),
        ("CreateApiKey", admin.CreateApiKeyRequest(principal=principal, roles=["operator"], scopes=["runs.read:*"])),
        ("RotateApiKey", admin.RotateApiKeyRequest(id=mesh.ids["key"])),
        ("BindRole", admin.BindRoleRequest(principal=principal, role="developer")),
        ("PutRole", admin.PutRoleRequest(name="big", permissions=["*"])),
    ]
    for method, request in attempts:
        answer = await mesh.ask("clerk", admin.path_of(method), request)
        assert answer.reason == DENIED, method
    fine = admin.CreateApiKeyRequest(principal=principal, scopes=["models.call:keeper"])
    assert (await mesh.ask("clerk", admin.path_of("CreateApiKey"), fine)).code is grpc.StatusCode.OK


BAD = {"authorization": "Bearer hw_bad"}


async def test_a_flood_of_bad_keys_is_stopped_and_says_for_how_long(mesh: World) -> None:
    mesh.secrets["bad"] = "hw_" + "z" * 40
    method, request = "GET /v1/models", HttpBody()
    assert (await ask(mesh, "bad", method, request)).code is grpc.StatusCode.UNAUTHENTICATED
    # A slow machine's attempts are paid back in part while they are made: the limit is met, a moment later or sooner.
    async with asyncio.timeout(60):
        while (await ask(mesh, "bad", method, request)).code is not grpc.StatusCode.RESOURCE_EXHAUSTED:
            pass
        while (failed := await mesh.http.get("/v1/models", headers=BAD)).status_code == 401:
            pass
    assert failed.status_code == 429
    assert int(failed.headers["retry-after"]) >= 1
    assert failed.json()["error"]["code"] == "too_many_attempts"
    assert (await ask(mesh, "acme", method, request)).code is grpc.StatusCode.OK
