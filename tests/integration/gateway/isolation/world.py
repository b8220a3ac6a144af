"""Two tenants behind one gateway, before the real orchestrator and the real retrieval."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import httpx
from google.api.httpbody_pb2 import HttpBody
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from headworks.orchestrator.v1 import agent_service_pb2 as agents
from headworks.orchestrator.v1 import orchestrator_service_pb2 as runs
from headworks.orchestrator.v1 import prompt_service_pb2 as prompts
from headworks.orchestrator.v1 import run_pb2
from headworks.retrieval.v1 import file_service_pb2 as file_service
from headworks.retrieval.v1 import retrieval_service_pb2 as retrieval
from headworks.retrieval.v1 import vector_store_service_pb2 as vector_stores

from gateway.access.permissions import BUILT_IN
from gateway.app import wire
from gateway.settings import GatewaySettings
from services.orchestrator.app import wire as wire_orchestrator
from services.orchestrator.settings import OrchestratorSettings
from services.retrieval.app import assemble, open_engine
from services.retrieval.settings import RetrievalSettings
from services.retrieval.store.points import PointStore
from services.runtime import statuses
from services.runtime.channels import open_channel
from services.runtime.contract import path
from services.runtime.identity import IDENTITY_KEY, Identity
from tests.fakes import admin_protos as admin
from tests.fakes.http_calls import http_of
from tests.fakes.identity import Keys
from tests.fakes.retrieval import FakeEmbedder, ingest_requests
from tests.fakes.serving import channel_for, serving, until
from tests.fakes.triton import FakeTriton

SECRET = "The sluice opens at 1907."
SPEC = f"""name: keeper
model: extractive
instructions: {SECRET}
retrieval: {{mode: always, required: true, collections: [docs]}}
"""
REFUSAL_SECONDS = 0.5
HTTP_CODES = {
    400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND",
    415: "INVALID_ARGUMENT", 429: "RESOURCE_EXHAUSTED",
}  # fmt: skip
OWNER, THIEF = "acme", "beta"
API_KEYS = {OWNER: "hw_" + "a" * 40, THIEF: "hw_" + "b" * 40}


@dataclass(frozen=True)
class Answer:
    """How a call ended: its status, the reason of its error, and what came before it."""

    code: grpc.StatusCode
    reason: str
    messages: list[Any]

    @property
    def data(self) -> bytes:
        return b"".join(one.SerializeToString() for one in self.messages)


@dataclass
class World:
    """What the owner has, and how either tenant asks. `served` are the services of the gateway, `behind` the channels
    to what stands behind it, by package."""

    channel: Any
    http: httpx.AsyncClient
    keys: Keys
    methods: dict[str, MethodDescriptor]
    served: frozenset[str]
    behind: dict[str, Any]
    run_id: str = ""
    ids: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=API_KEYS.copy)
    extra: tuple[tuple[str, str], ...] = field(default=())

    @property
    def administered(self) -> bool:
        """Whether the gateway serves its administrators."""
        return {service.full_name for service in admin.SERVICES} <= self.served

    def forged(self) -> tuple[tuple[str, str], ...]:
        """Headers that claim to be the owner: even its own good internal token is none of the gateway's business."""
        token = self.keys.signer.token(Identity(OWNER, "root", frozenset({"*"})))
        return (
            (IDENTITY_KEY, token),
            ("x-headworks-tenant", OWNER),
            ("x-headworks-replica", "orchestrator-0"),
            ("x-tenant", OWNER),
        )

    async def ask(self, who: str, method: str, *requests: Message) -> Answer:
        """One call of a method, by its path, or by a verb and a path of HTTP, with the key that `secrets` has for
        `who`."""
        if not method.startswith("/"):
            return await self._ask_http(who, method, requests[0])
        described = self.methods[method]
        kind = f"{'stream' if described.client_streaming else 'unary'}_"
        kind += "stream" if described.server_streaming else "unary"
        made = getattr(self.channel, kind)(
            method, lambda message: message.SerializeToString(), GetMessageClass(described.output_type).FromString
        )
        metadata = (("authorization", f"Bearer {self.secrets[who]}"), *self.extra)
        if described.client_streaming:
            call = made(metadata=metadata, timeout=20)
            await _write(call, requests)
        else:
            call = made(requests[0], metadata=metadata, timeout=20)
        messages: list[Any] = []
        try:
            if described.server_streaming:
                async for message in call:
                    messages.append(message)  # noqa: PERF401 (what came before an error counts)
            else:
                messages.append(await call)
        except grpc.aio.AioRpcError as error:
            return Answer(error.code(), statuses.from_rpc_error(error).reason, messages)
        return Answer(grpc.StatusCode.OK, "", messages)

    async def _ask_http(self, who: str, method: str, request: Any) -> Answer:
        verb, _, where = method.partition(" ")
        headers = {"authorization": f"Bearer {self.secrets[who]}", **dict(self.extra)}
        response = await self.http.request(verb, where, content=request.data or None, headers=headers)
        messages = [HttpBody(data=response.content)]
        if response.status_code == 200:
            return Answer(grpc.StatusCode.OK, "", messages)
        code = grpc.StatusCode[HTTP_CODES[response.status_code]]
        error = response.json()["error"]
        beside = error.get("headworks") or error.get("data") or error  # in Anthropic's form, in JSON-RPC's
        return Answer(code, beside["code"].upper(), messages)

    async def fill(self) -> None:
        """Give the owner documents, an agent, a prompt, a session and a run."""
        ingested = ingest_requests({"d1": f"{SECRET} It is old."}, "docs")
        await self._done("/headworks.retrieval.v1.RetrievalService/Ingest", *ingested)
        await self._done("/headworks.orchestrator.v1.AgentService/ApplyAgent", agents.ApplyAgentRequest(spec=SPEC))
        prompt = f"name: keeper\nmessages: [{{role: system, content: '{SECRET}'}}]\n"
        await self._done(
            "/headworks.orchestrator.v1.PromptService/ApplyPrompt", prompts.ApplyPromptRequest(spec=prompt)
        )
        question = run_pb2.Message(role=run_pb2.Message.ROLE_USER, content="When does the sluice open?")
        ask = runs.RunRequest(model="keeper", messages=[question], session_id="s1")
        answer = await self._done("/headworks.orchestrator.v1.OrchestratorService/Run", ask)
        assert SECRET.encode() in answer.data
        self.run_id = answer.messages[0].events[0].run_id
        await self._fill_files()
        if self.administered:
            await self._fill_records()

    async def _fill_files(self) -> None:
        """Give the owner a file, and put it into the collection."""
        messages = [
            file_service.CreateFileRequest(head=file_service.FileHead(filename="secret.txt")),
            file_service.CreateFileRequest(chunk=SECRET.encode()),
            file_service.CreateFileRequest(purpose="assistants"),
        ]
        made = await self._done("/headworks.retrieval.v1.FileService/CreateFile", *messages)
        self.ids["file"] = made.messages[0].file.id
        stores = "/headworks.retrieval.v1.VectorStoreService"
        files = [vector_stores.AddedFile(file_id=self.ids["file"])]
        adding = vector_stores.AddVectorStoreFilesRequest(vector_store_id="docs", files=files, batch=True)
        added = await self._done(f"{stores}/AddVectorStoreFiles", adding)
        self.ids["batch"] = added.messages[0].batch.id
        asked = vector_stores.GetVectorStoreFileRequest(vector_store_id="docs", file_id=self.ids["file"])

        async def ingested() -> bool:
            found = (await self._done(f"{stores}/GetVectorStoreFile", asked)).messages[0].file
            return bool(found.status == found.STATUS_COMPLETED)

        await until(ingested)

    def named(self, method: str) -> str:
        """The method's path with the owner's names in the place of its variables."""
        names = {"model": "keeper", "store": "docs", "file_id": self.ids["file"], "batch": self.ids["batch"]}
        for variable, name in names.items():
            method = method.replace(f"{{{variable}}}", name)
        return method

    async def _fill_records(self) -> None:
        """Give the owner what administrators look after."""
        for tenant in API_KEYS:
            made = await self.ask(OWNER, admin.path_of("CreateTenant"), admin.CreateTenantRequest(id=tenant))
            assert made.reason in ("", "ALREADY_EXISTS")  # those of the operator's keys are there
        made = await self.admin("CreateProject", admin.CreateProjectRequest(name=SECRET))
        self.ids["project"] = made.project.id
        user = admin.Principal.KIND_USER
        made = await self.admin("CreatePrincipal", admin.CreatePrincipalRequest(kind=user, name=SECRET))
        self.ids["principal"] = made.principal.id
        await self.admin("PutRole", admin.PutRoleRequest(name="keeping", permissions=["models.read:*"]))
        await self.admin("BindRole", admin.BindRoleRequest(role="user", principal=self.ids["principal"]))
        made = await self.admin("CreateApiKey", admin.CreateApiKeyRequest(principal=self.ids["principal"]))
        self.ids["key"] = made.key.id
        of_tenant, day, tokens = (
            admin.Budget.SCOPE_TENANT,
            admin.Budget.PERIOD_DAY,
            admin.Budget.UNIT_TOKENS,
        )
        budget = admin.CreateBudgetRequest(scope=of_tenant, period=day, unit=tokens, amount=1 << 40)
        self.ids["budget"] = (await self.admin("CreateBudget", budget)).budget.id
        made = await self.admin("CreateRateLimit", admin.CreateRateLimitRequest(requests_per_minute=1 << 30))
        self.ids["limit"] = made.limit.id
        wiki = admin.PutMcpServerRequest(name="wiki", url="https://wiki.example/mcp", headers={"x-key": SECRET})
        await self.admin("PutMcpServer", wiki)

    async def admin(self, method: str, request: Message) -> Any:
        """What an operator is answered."""
        return (await self._done(admin.path_of(method), request)).messages[0]

    async def view(self) -> list[bytes]:
        """All that the owner has, as the owner sees it."""
        asked: list[tuple[str, Message]] = [
            ("retrieval.v1.RetrievalService/ListCollections", retrieval.ListCollectionsRequest()),
            (
                "retrieval.v1.RetrievalService/GetDocument",
                retrieval.GetDocumentRequest(collection="docs", document_id="d1", include_passages=True),
            ),
            ("retrieval.v1.FileService/ReadFile", file_service.ReadFileRequest(file_id=self.ids["file"])),
            (
                "retrieval.v1.VectorStoreService/ListVectorStoreFiles",
                vector_stores.ListVectorStoreFilesRequest(vector_store_id="docs"),
            ),
            ("orchestrator.v1.AgentService/ListAgents", agents.ListAgentsRequest()),
            ("orchestrator.v1.PromptService/ListPrompts", prompts.ListPromptsRequest()),
            ("orchestrator.v1.OrchestratorService/ListRuns", runs.ListRunsRequest()),
            ("orchestrator.v1.OrchestratorService/Attach", runs.AttachRequest(run_id=self.run_id)),
        ]
        seen = [(await self._done(f"/headworks.{name}", request)).data for name, request in asked]
        if self.administered:
            mine: list[tuple[str, Message]] = [
                ("GetTenant", admin.GetTenantRequest(id=OWNER)),
                ("ListProjects", admin.ListProjectsRequest()),
                ("ListPrincipals", admin.ListPrincipalsRequest()),
                ("ListRoles", admin.ListRolesRequest()),
                ("ListRoleBindings", admin.ListRoleBindingsRequest(principal=self.ids["principal"])),
                ("ListApiKeys", admin.ListApiKeysRequest()),
                ("ListRateLimits", admin.ListRateLimitsRequest(every_tenant=True)),
                ("ListGuardPolicies", admin.ListGuardPoliciesRequest()),
                ("ListMcpServers", admin.ListMcpServersRequest()),
                ("GetRetention", admin.GetRetentionRequest()),
            ]
            seen += [(await self.admin(name, request)).SerializeToString() for name, request in mine]
            budgets = await self.admin("ListBudgets", admin.ListBudgetsRequest())
            seen += [f"{one.id} {one.amount}".encode() for one in budgets.budgets]
        return seen

    async def _done(self, method: str, *requests: Message) -> Answer:
        answer = await self.ask(OWNER, method, *requests)
        assert answer.code is grpc.StatusCode.OK, answer
        return answer


async def _write(call: Any, requests: tuple[Message, ...]) -> None:
    """All of the requests. A server that refuses the first is given the time to say so: gRPC's client takes a stream
    that ended while it was written to for an error of its own."""
    for request in requests:
        await call.write(request)
    with suppress(TimeoutError):
        async with asyncio.timeout(REFUSAL_SECONDS):
            await asyncio.shield(asyncio.ensure_future(call.code()))
    if not call.done():
        await call.done_writing()


def body(**fields: Any) -> HttpBody:
    """A JSON body of OpenAI's face."""
    return HttpBody(content_type="application/json", data=json.dumps(fields).encode())


def _stored(tenant: str, key: str) -> dict[str, Any]:
    """The owner's key is an operator's too; the other tenant's is that of its administrator."""
    digest = hashlib.sha256(key.encode()).hexdigest()
    scopes = ["*"] if tenant == OWNER else sorted(BUILT_IN["admin"])
    return {"id": f"{tenant}-key", "prefix": key[:11], "sha256": digest, "tenant": tenant, "subject": tenant,
            "scopes": scopes}  # fmt: skip


@asynccontextmanager
async def world(keys: Keys, folder: Path, methods: list[MethodDescriptor], records_url: str) -> AsyncIterator[World]:
    """Everything that tenants are told apart by is real, and in one database; the models of Triton are not."""
    (folder / "private.pem").write_bytes(keys.private_pem)
    (folder / "public.pem").write_bytes(keys.public_pem)
    (folder / "keys.json").write_text(json.dumps({"keys": [_stored(*pair) for pair in API_KEYS.items()]}))
    async with AsyncExitStack() as stack:
        triton = await stack.enter_async_context(serving(FakeTriton()))
        told = RetrievalSettings(data_dir=folder / "retrieval")
        service = await assemble(told, PointStore(open_engine(told)), [FakeEmbedder()], AsyncExitStack())
        retrieving = await stack.enter_async_context(serving(service, verifier=keys.verifier, settings=told))
        orchestrating = OrchestratorSettings(
            retrieval_target=retrieving,
            triton_target=triton,
            peers_target="127.0.0.1:1",
            records_url=records_url,
            identity_public_key=folder / "public.pem",
        )
        orchestrator = await stack.enter_async_context(
            serving(await wire_orchestrator(orchestrating), verifier=keys.verifier, settings=orchestrating)
        )
        settings = GatewaySettings(
            identity_private_key=folder / "private.pem",
            api_keys_file=folder / "keys.json",
            records_url=records_url,
            orchestrator_target=orchestrator,
            retrieval_target=retrieving,
            triton_target=triton,
        )
        app = await wire(settings)
        channel = await stack.enter_async_context(channel_for(app, settings=settings))
        behind = {
            "orchestrator": await stack.enter_async_context(open_channel(orchestrator)),
            "retrieval": await stack.enter_async_context(open_channel(retrieving)),
        }
        http = await stack.enter_async_context(http_of(app))
        made = World(channel, http, keys, {path(method): method for method in methods}, frozenset(app.names), behind)
        await made.fill()
        yield made
