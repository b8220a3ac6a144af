"""The composition root of the gateway."""

from contextlib import AsyncExitStack

import grpc
from headworks.gateway.v1 import openai_service_pb2, openai_service_pb2_grpc
from headworks.orchestrator.v1 import agent_service_pb2, orchestrator_service_pb2, session_service_pb2
from headworks.retrieval.v1 import retrieval_service_pb2

from gateway.identity.authenticate import Authenticate
from gateway.identity.keys import KeyRing
from gateway.openai.errors import OpenAIErrors
from gateway.openai.servicer import OpenAIServicer
from gateway.proxy.forward import Forward, handlers
from gateway.settings import GatewaySettings
from services.runtime.channels import open_channel
from services.runtime.identity import TokenSigner
from services.runtime.interceptors.deadline import Deadline
from services.runtime.interceptors.logs import AccessLog
from services.runtime.interceptors.metrics import Metrics
from services.runtime.interceptors.pipeline import Layer
from services.runtime.interceptors.tracing import Trace
from services.runtime.server import App
from services.runtime.triton import TritonClient

OPENAI = openai_service_pb2.DESCRIPTOR.services_by_name["OpenAIService"]
ORCHESTRATOR = orchestrator_service_pb2.DESCRIPTOR.services_by_name["OrchestratorService"]
AGENTS = agent_service_pb2.DESCRIPTOR.services_by_name["AgentService"]
SESSIONS = session_service_pb2.DESCRIPTOR.services_by_name["SessionService"]
RETRIEVAL = retrieval_service_pb2.DESCRIPTOR.services_by_name["RetrievalService"]


def layers(settings: GatewaySettings) -> list[Layer]:
    """What surrounds every call from outside, outermost first."""
    keys = KeyRing(settings.api_keys_file)
    signer = TokenSigner(settings.identity_private_key.read_bytes())
    return [
        Trace(),
        AccessLog(),
        Metrics(),
        OpenAIErrors(),
        Deadline(settings.max_deadline_seconds, settings.max_upload_seconds),
        Authenticate(keys, signer, settings.run_identity_seconds),
    ]


async def wire(settings: GatewaySettings) -> App:
    """The gateway, its channels open and its keys read."""
    resources = AsyncExitStack()
    behind = [ORCHESTRATOR, AGENTS, SESSIONS]
    orchestrator = await resources.enter_async_context(open_channel(settings.orchestrator_target, behind))
    retrieval = await resources.enter_async_context(open_channel(settings.retrieval_target, [RETRIEVAL]))
    triton = await resources.enter_async_context(open_channel(settings.triton_target))
    servicer = OpenAIServicer(orchestrator, TritonClient(triton), settings.embed_seconds, settings.heartbeat_seconds)
    channels = [(service, orchestrator) for service in behind] + [(RETRIEVAL, retrieval)]
    forward = Forward({path: one for pair in channels for path, one in handlers(*pair).items()})

    def add(server: grpc.aio.Server) -> None:
        openai_service_pb2_grpc.add_OpenAIServiceServicer_to_server(servicer, server)
        server.add_generic_rpc_handlers((forward,))

    names = [OPENAI.full_name, *(service.full_name for service, _ in channels)]
    # Ready whatever stands behind it: a gateway can say what is missing, an Envoy without gateways cannot.
    return App(add, names, resources=resources, layers=layers(settings))
