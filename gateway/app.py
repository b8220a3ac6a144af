"""The composition root of the gateway."""

from contextlib import AsyncExitStack
from functools import partial

import grpc
from headworks.gateway.v1 import (
    guard_service_pb2,
    guard_service_pb2_grpc,
    identity_service_pb2,
    identity_service_pb2_grpc,
)
from headworks.orchestrator.v1 import (
    agent_service_pb2,
    orchestrator_service_pb2,
    prompt_service_pb2,
    session_service_pb2,
)
from headworks.retrieval.v1 import file_service_pb2, retrieval_service_pb2, vector_store_service_pb2

from gateway.access.authorizer import Authorizer
from gateway.audit.layer import Audit, AuditBreaker
from gateway.cache.assembly import open_cache
from gateway.calls.agents import Agents
from gateway.calls.assembly import open_bare, open_guards, open_pipeline
from gateway.calls.background import BackgroundTasks
from gateway.calls.documents import Documents
from gateway.calls.embed import EmbedCalls
from gateway.calls.mcp import McpCalls
from gateway.calls.prompts import Prompts
from gateway.calls.rerank import RerankCalls
from gateway.calls.run_cached import CachedRuns
from gateway.calls.runs import RunCalls
from gateway.faces.admin.assembly import SERVICES as ADMIN
from gateway.faces.admin.assembly import add_servicers
from gateway.faces.admin.calls import AdminCalls
from gateway.faces.callers import Callers
from gateway.faces.guard.servicer import GuardServicer
from gateway.faces.http.a2a.face import A2aFace
from gateway.faces.http.anthropic.face import AnthropicFace
from gateway.faces.http.assembly import http_server
from gateway.faces.http.errors import status_of
from gateway.faces.http.mcp.agents import AgentTools
from gateway.faces.http.mcp.collections import CollectionTools
from gateway.faces.http.mcp.face import McpFace
from gateway.faces.http.mcp.servers import ServerContents, ServerTools
from gateway.faces.http.openai.chat import ChatCompletions
from gateway.faces.http.openai.face import OpenAIFace
from gateway.faces.http.openai.responses.face import ResponsesFace
from gateway.faces.http.openai.stores.files import FilesFace
from gateway.faces.http.openai.stores.vector_stores import VectorStoresFace
from gateway.faces.http.search import SearchFace
from gateway.faces.http.transcoding import transcoded
from gateway.faces.identity import IdentityServicer, OrchestratorOnly
from gateway.faces.native.agents import following
from gateway.faces.native.forward import Forward, handlers
from gateway.faces.native.models import with_health
from gateway.faces.native.screened import ScreenedMethods
from gateway.identity.addresses import CallerAddresses
from gateway.identity.assembly import open_credentials
from gateway.identity.authenticate import Authenticate, IssuedTokens
from gateway.identity.open_calls import OpenCalls
from gateway.identity.refresh_tokens import RefreshTokens
from gateway.mcp.assembly import open_servers
from gateway.mcp.registration import ServerRegistration
from gateway.mcp.sealing import SecretSeal
from gateway.privacy.assembly import keeping, open_audit, open_privacy
from gateway.schema.schema import SCHEMA
from gateway.settings import GatewaySettings
from services.llm.settings import LlmSettings
from services.runtime.channels import open_channel
from services.runtime.health import DEPENDENCY
from services.runtime.identity import TokenSigner
from services.runtime.interceptors import CallLayer
from services.runtime.interceptors.standard import AccessLog, Deadline, Errors, Identify, Metrics, Trace
from services.runtime.records.assembly import open_records
from services.runtime.records.engine import data_folder
from services.runtime.records.mesh import claim
from services.runtime.records.ready import RecordsReady
from services.runtime.records.tables import MESH
from services.runtime.replicas import serving
from services.runtime.server import App, opening
from services.runtime.settings import prefix
from services.runtime.time_limit import TimeLimit
from services.runtime.triton import TritonClient, open_channels

GUARD = guard_service_pb2.DESCRIPTOR.services_by_name["GuardService"]
IDENTITY = identity_service_pb2.DESCRIPTOR.services_by_name["IdentityService"]
ORCHESTRATOR = orchestrator_service_pb2.DESCRIPTOR.services_by_name["OrchestratorService"]
AGENTS = agent_service_pb2.DESCRIPTOR.services_by_name["AgentService"]
PROMPTS = prompt_service_pb2.DESCRIPTOR.services_by_name["PromptService"]
SESSIONS = session_service_pb2.DESCRIPTOR.services_by_name["SessionService"]
RETRIEVAL = retrieval_service_pb2.DESCRIPTOR.services_by_name["RetrievalService"]
FILES = file_service_pb2.DESCRIPTOR.services_by_name["FileService"]
VECTOR_STORES = vector_store_service_pb2.DESCRIPTOR.services_by_name["VectorStoreService"]
BEHIND = (ORCHESTRATOR, AGENTS, PROMPTS, SESSIONS)
OF_DOCUMENTS = (RETRIEVAL, FILES, VECTOR_STORES)
SERVED = (*ADMIN, GUARD, IDENTITY, *BEHIND, *OF_DOCUMENTS)
ENVOY = ("envoy",)
EMBEDDER = ("embed",)
RECORDS = "records"
VITAL = frozenset({"orchestrator", "retrieval", RECORDS})
"""What callers cannot be served without."""


def layers(settings: GatewaySettings, audit: Audit, callers: Callers) -> list[CallLayer]:
    """What surrounds every call, of gRPC and HTTP alike, outermost first."""
    return [
        Trace(status_of),
        AccessLog(),
        Metrics(),
        audit,
        Errors(),
        Deadline(settings.max_deadline_seconds, settings.max_upload_seconds, settings.service),
        callers,
        AuditBreaker(audit),
    ]


async def wire(settings: GatewaySettings, models: LlmSettings | None = None) -> App:
    """The gateway, its records and channels open. Raises RecordsUnavailable where there is no database, and ValueError
    or OSError for a file that cannot be read."""
    async with opening() as resources:
        return await _wire(settings, models or LlmSettings(), resources)


async def _wire(settings: GatewaySettings, models: LlmSettings, resources: AsyncExitStack) -> App:
    private_key = settings.identity_private_key.read_bytes()
    try:
        signer = TokenSigner(private_key, settings.identity_seconds)
    except ValueError as error:
        raise ValueError(f"{settings.identity_private_key} is no PEM of an Ed25519 private key") from error
    address = CallerAddresses(settings.trusted_proxies, settings.read_edge_token()).of
    orchestrator = await resources.enter_async_context(
        open_channel(settings.orchestrator_target, list(BEHIND), settings.tls)
    )
    retrieval = await resources.enter_async_context(
        open_channel(settings.retrieval_target, list(OF_DOCUMENTS), settings.tls)
    )
    triton = TritonClient(*await open_channels(settings.triton_target, settings.tls, resources))
    records = await open_records(settings.records_url, SCHEMA, settings.records_timeout_seconds, resources)
    await claim(
        records.database, MESH, signer.fingerprint, settings.audit_former_keys, prefix("gateway"), "audit_former_keys"
    )
    credentials = await open_credentials(settings, records.database, records.changes, resources)
    open_calls = OpenCalls(credentials)
    await open_calls.open()
    resources.push_async_callback(open_calls.aclose)
    tokens = IssuedTokens(signer, RefreshTokens(private_key, settings.run_identity_seconds), credentials)
    trail = await open_audit(settings, records, resources)
    kept = keeping(settings, records)
    background = BackgroundTasks()
    cache = open_cache(settings, records, triton, background.add, resources)
    privacy = await open_privacy(settings, records, trail, kept, signer, orchestrator, retrieval, cache, resources)
    guards = open_guards(settings, records, triton, background, resources)
    resources.push_async_callback(background.aclose)
    closed = settings.audit_when_records_are_gone == "closed"
    audit = Audit(trail.log, address, closed=closed)
    pipeline = await open_pipeline(settings, records, audit, guards, background, kept.keeps_content, cache, resources)
    prompts = Prompts(orchestrator)
    agents = Agents(orchestrator, settings.price_seconds, prompts)
    cached = CachedRuns(agents, Documents(retrieval))
    runs = RunCalls(orchestrator, pipeline, agents, background, tokens, settings.run_identity_seconds, cached, prompts)
    bare = await open_bare(settings, models, pipeline, triton, resources)
    embedder = EmbedCalls(pipeline, triton, TimeLimit.of(settings.service, "embed_seconds", settings.embed_seconds))
    reranker = RerankCalls(pipeline, triton, TimeLimit.of(settings.service, "rerank_seconds", settings.rerank_seconds))
    seal = SecretSeal(private_key)
    mcp_servers = open_servers(settings, records, seal, resources)
    await records.changes.open()

    chat = ChatCompletions(runs, bare, prompts)
    openai = OpenAIFace(orchestrator, chat, bare, embedder, reranker, pipeline)
    calls = AdminCalls(records.database, trail.log, records.changes)

    def add_admin(server: grpc.aio.Server) -> None:
        registration = ServerRegistration(seal, mcp_servers.hosts)
        add_servicers(server, calls, guards, trail.checkpoints, privacy, kept, cache, registration, mcp_servers)

    channels = [(service, orchestrator) for service in BEHIND]
    channels += [(service, retrieval) for service in OF_DOCUMENTS]
    routes = {path: one for pair in channels for path, one in handlers(*pair).items()}
    own = (
        following(agents, prompts, routes) | with_health(bare, routes) | ScreenedMethods(runs, orchestrator).handlers()
    )
    forward = Forward(routes | own)

    def add(server: grpc.aio.Server) -> None:
        add_admin(server)
        guard_service_pb2_grpc.add_GuardServiceServicer_to_server(GuardServicer(guards), server)
        identity_service_pb2_grpc.add_IdentityServiceServicer_to_server(IdentityServicer(tokens), server)
        server.add_generic_rpc_handlers((forward,))

    callers = Callers(
        Authenticate(credentials, signer, open_calls, address),
        {
            f"/{GUARD.full_name}/": Identify(signer.verifier()),
            f"/{IDENTITY.full_name}/": OrchestratorOnly(mutual_tls=settings.tls is not None),
        },
    )
    around = layers(settings, audit, callers)
    access = Authorizer(SERVED)
    responses, anthropic = ResponsesFace(chat, orchestrator), AnthropicFace(chat, pipeline)
    documents = FilesFace(retrieval), VectorStoresFace(retrieval), SearchFace(retrieval)
    mcp_calls = McpCalls(pipeline)
    mcp = McpFace(
        (AgentTools(orchestrator, runs), CollectionTools(retrieval, guards), ServerTools(mcp_servers, mcp_calls)),
        ServerContents(mcp_servers, mcp_calls),
        settings.mcp_origins,
    )
    await mcp.open(resources)
    faces = (openai, responses, anthropic, *documents, mcp, A2aFace(orchestrator, runs, settings.public_url))
    paths = [*(route for face in faces for route in face.routes()), *transcoded(ADMIN, add_admin)]
    vital = VITAL if closed else VITAL - {RECORDS}
    http = http_server(settings, paths, around, access, ENVOY, vital)
    folder = data_folder(settings.records_url)
    # Ready whatever stands behind it: a gateway can say what is missing, an Envoy without gateways cannot.
    return App(
        add,
        [service.full_name for service in SERVED],
        optional={
            "orchestrator": serving(orchestrator, ORCHESTRATOR.full_name, f"{DEPENDENCY}records"),
            "retrieval": serving(retrieval, RETRIEVAL.full_name),
            RECORDS: RecordsReady(records.database, records.changes),
            "triton": partial(triton.ready, EMBEDDER),
        },
        vital=vital,
        data={"records": folder} if folder else {},
        resources=resources,
        layers=around,
        gate=access,
        beside=[http],
        callers={
            "/": ENVOY,
            f"/{GUARD.full_name}/": ("orchestrator",),
            f"/{IDENTITY.full_name}/": ("orchestrator",),
        },
        sockets=[settings.identity_socket] if settings.identity_socket else [],
    )
