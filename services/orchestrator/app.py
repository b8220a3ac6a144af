"""The composition root."""

from contextlib import AsyncExitStack

import grpc
from headworks.gateway.v1 import guard_service_pb2, identity_service_pb2
from headworks.orchestrator.v1 import (
    agent_service_pb2,
    agent_service_pb2_grpc,
    data_service_pb2,
    data_service_pb2_grpc,
    orchestrator_service_pb2,
    orchestrator_service_pb2_grpc,
    prompt_service_pb2,
    prompt_service_pb2_grpc,
    session_service_pb2,
    session_service_pb2_grpc,
)
from headworks.retrieval.v1 import retrieval_service_pb2

from services.llm.client import HttpClient
from services.llm.difficulty.triton import TritonTextEmbedder
from services.llm.models import ModelFactory, share_breakers
from services.llm.settings import LlmSettings, secret
from services.llm.triton.client import LlmClient
from services.orchestrator.adapters.guard_client import GuardClient
from services.orchestrator.adapters.identity_client import IdentityClient
from services.orchestrator.adapters.peers import Peers
from services.orchestrator.adapters.present_caller import present_caller
from services.orchestrator.adapters.retrieval_client import RetrievalClient
from services.orchestrator.adapters.triton_embedder import GraderEmbedder
from services.orchestrator.agents.loop.work import Kit
from services.orchestrator.agents.registry import Registry
from services.orchestrator.agents.service import AgentService
from services.orchestrator.agents.specs.store import KIND, AgentStore
from services.orchestrator.data.erasure import DataEraser
from services.orchestrator.data.store import DataStore
from services.orchestrator.directory import RunDirectory
from services.orchestrator.generate.engines import mesh_engines, open_catalogue
from services.orchestrator.prompts.service import PromptService
from services.orchestrator.prompts.store import PromptStore
from services.orchestrator.runs.executor import Executor
from services.orchestrator.runs.heartbeat import Heartbeat
from services.orchestrator.runs.records import RunRecords
from services.orchestrator.schema.schema import SCHEMA
from services.orchestrator.schema.tables import MESH, REVISIONS
from services.orchestrator.scopes import Identities
from services.orchestrator.servicers.agents import AgentServicer
from services.orchestrator.servicers.data import DataServicer
from services.orchestrator.servicers.prompts import PromptServicer
from services.orchestrator.servicers.runs import OrchestratorServicer
from services.orchestrator.servicers.sessions import SessionServicer
from services.orchestrator.sessions.store import SessionStore
from services.orchestrator.sessions.window import Sessions
from services.orchestrator.settings import OrchestratorSettings, environment
from services.orchestrator.tools.config import ToolSettings, load
from services.orchestrator.tools.factory import ToolFactory
from services.runtime.channels import open_channel
from services.runtime.identity import fingerprint
from services.runtime.records.assembly import open_database
from services.runtime.records.changes import Changes
from services.runtime.records.engine import data_folder
from services.runtime.records.mesh import claim
from services.runtime.records.ready import RecordsReady
from services.runtime.replicas import serving
from services.runtime.server import App, identity_key_of, opening, verifier_of
from services.runtime.settings import prefix
from services.runtime.sockets import each
from services.runtime.time_limit import TimeLimit
from services.runtime.triton import TritonClient, open_channels

AGENTS = agent_service_pb2.DESCRIPTOR.services_by_name["AgentService"]
DATA = data_service_pb2.DESCRIPTOR.services_by_name["DataService"]
NAME = orchestrator_service_pb2.DESCRIPTOR.services_by_name["OrchestratorService"]
PROMPTS = prompt_service_pb2.DESCRIPTOR.services_by_name["PromptService"]
SESSIONS = session_service_pb2.DESCRIPTOR.services_by_name["SessionService"]
IDENTITIES = identity_service_pb2.DESCRIPTOR.services_by_name["IdentityService"]
GUARDS = guard_service_pb2.DESCRIPTOR.services_by_name["GuardService"]
RETRIEVAL = retrieval_service_pb2.DESCRIPTOR.services_by_name["RetrievalService"]


async def wire(settings: OrchestratorSettings, models: LlmSettings | None = None) -> App:
    """The service, its channels open and its record of runs at hand. Raises CannotStart, DomainError, and ValueError or
    OSError for a file that cannot be read."""
    async with opening() as resources:
        return await _wire(settings, models or LlmSettings(), resources)


async def _wire(settings: OrchestratorSettings, models: LlmSettings, resources: AsyncExitStack) -> App:
    retrieval = await resources.enter_async_context(open_channel(settings.retrieval_target, [RETRIEVAL], settings.tls))
    peers = await resources.enter_async_context(open_channel(settings.peers_target, [NAME], settings.tls))
    triton = TritonClient(*await open_channels(settings.triton_target, settings.tls, resources))
    llms: dict[str, LlmClient] = {}
    llm_target = settings.llm_target or settings.triton_target
    for place, channel in zip(each(llm_target), await open_channels(llm_target, settings.tls, resources), strict=True):
        llms[place] = LlmClient(channel, streams=settings.llm_streams)
        resources.push_async_callback(llms[place].aclose)
    http = HttpClient(models.connections)
    resources.push_async_callback(http.aclose)
    await http.open()
    embedder = TritonTextEmbedder(triton, models.difficulty_embed_seconds)
    engines = ModelFactory(http, secret, mesh_engines(settings.answer_threshold, llms), embedder)
    catalogue = open_catalogue(settings, models, engines)
    await share_breakers(models.redis_url, engines, resources)
    database = await open_database(settings.records_url, SCHEMA, settings.records_timeout_seconds, resources)
    key = fingerprint(identity_key_of(settings))
    await claim(database, MESH, key, settings.identity_former_keys, prefix("orchestrator"), "identity_former_keys")
    records = RunRecords(
        database, settings.replica_name, settings.retained_runs, place=settings.place, lease=settings.lease_seconds
    )
    retriever = RetrievalClient(retrieval, TimeLimit.of(settings.service, "search_seconds", settings.search_seconds))
    mesh = {"retrieval": settings.retrieval_target}
    toolboxes = ToolFactory(retriever, _tool_settings(settings), mesh, settings.tls)
    resources.push_async_callback(toolboxes.aclose)
    store = AgentStore(database)
    session_store = SessionStore(database)
    sessions = Sessions(session_store)
    kit = Kit(
        catalogue,
        retriever,
        toolboxes,
        memory=sessions,
        embedder=GraderEmbedder(triton, settings.search_seconds),
        screener=await _guards(settings, resources),
        caller=present_caller,
    )
    prompt_store = PromptStore(database)
    prompts = PromptService(prompt_store)
    registry = Registry(store, kit, settings.rag_model, prompts)
    changes = Changes(database, table=REVISIONS)
    resources.push_async_callback(changes.aclose)
    changes.follow(KIND, registry.reload)
    await changes.open()
    agents = AgentServicer(AgentService(store, registry, toolboxes.check))
    gateway = await resources.enter_async_context(open_channel(settings.identity_target, [IDENTITIES], settings.tls))
    exchange = IdentityClient(gateway, verifier_of(settings), settings.identity_timeout_seconds)
    identities = Identities(exchange, settings.identity_patience_seconds)
    executor = Executor(registry, records, settings.max_runs, sessions, most_waiting=settings.max_waiting_runs)
    heartbeat = Heartbeat(
        executor,
        records,
        identities.of_left,
        settings.detached_run_seconds,
        settings.beat_seconds,
        settings.lease_seconds,
    )
    resources.push_async_callback(heartbeat.aclose)
    resources.push_async_callback(executor.aclose)
    await heartbeat.open()
    directory = RunDirectory(executor, records)
    servicer = OrchestratorServicer(
        executor, directory, Peers(peers, settings.replica_name), identities, settings.detached_run_seconds
    )
    data_store = DataStore(database)
    erasure = DataEraser(data_store, store, registry.changed, prompt_store, prompts.forget)
    data = DataServicer(data_store, session_store, store, prompt_store, directory, erasure, servicer.cancel)

    def add(server: grpc.aio.Server) -> None:
        orchestrator_service_pb2_grpc.add_OrchestratorServiceServicer_to_server(servicer, server)
        agent_service_pb2_grpc.add_AgentServiceServicer_to_server(agents, server)
        prompt_service_pb2_grpc.add_PromptServiceServicer_to_server(PromptServicer(prompts), server)
        session_service_pb2_grpc.add_SessionServiceServicer_to_server(SessionServicer(session_store), server)
        data_service_pb2_grpc.add_DataServiceServicer_to_server(data, server)

    names = [service.full_name for service in (NAME, AGENTS, PROMPTS, SESSIONS, DATA)]
    callers = {"/": ("gateway", "orchestrator"), f"/{DATA.full_name}/": ("gateway",)}
    checks = {"retrieval": serving(retrieval, RETRIEVAL.full_name)}
    folder = data_folder(settings.records_url)
    kept = {"records": folder} if folder else {}
    # Without its records it says so in words, and serves what needs none.
    optional = {"records": RecordsReady(database, changes)}
    return App(add, names, checks, optional, resources=resources, callers=callers, data=kept)


async def _guards(settings: OrchestratorSettings, resources: AsyncExitStack) -> GuardClient | None:
    if not settings.guard_target:
        return None
    channel = await resources.enter_async_context(open_channel(settings.guard_target, [GUARDS], settings.tls))
    return GuardClient(
        channel, settings.guard_seconds, settings.screen_when_guard_is_gone, attempts=settings.guard_attempts
    )


def _tool_settings(settings: OrchestratorSettings) -> ToolSettings:
    """Raises BadToolSettings."""
    return load(settings.tools_file, environment()) if settings.tools_file else ToolSettings()
