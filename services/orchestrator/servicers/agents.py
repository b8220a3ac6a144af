"""AgentService: validate, convert, one domain call, convert back."""

from headworks.orchestrator.v1 import agent_pb2
from headworks.orchestrator.v1 import agent_service_pb2 as pb
from headworks.orchestrator.v1 import agent_service_pb2_grpc as pb_grpc

from services.orchestrator import requests
from services.orchestrator.agents.service import AgentService, RegisteredAgent
from services.orchestrator.convert import timestamp
from services.orchestrator.servicers.named import before_of, name_of, version_of
from services.runtime.call import current
from services.runtime.interceptors.pipeline import Context
from services.runtime.permissions import allows

WHAT = "an agent's name"


class AgentServicer(pb_grpc.AgentServiceServicer):
    def __init__(self, keeper: AgentService) -> None:
        self._keeper = keeper

    async def ApplyAgent(self, request: pb.ApplyAgentRequest, context: Context) -> pb.ApplyAgentResponse:
        call = current()
        scopes = call.identity.scopes if call.identity else frozenset()
        kept, changed = await self._keeper.apply(
            call.tenant, request.spec, dry_run=request.dry_run,
            may=lambda permission: allows(scopes, permission),
        )  # fmt: skip
        return pb.ApplyAgentResponse(agent=agent(kept), changed=changed)

    async def GetAgent(self, request: pb.GetAgentRequest, context: Context) -> pb.GetAgentResponse:
        name, version = name_of(request.name, WHAT), version_of(request.version)
        return pb.GetAgentResponse(agent=agent(await self._keeper.get(current().tenant, name, version)))

    async def ListAgents(self, request: pb.ListAgentsRequest, context: Context) -> pb.ListAgentsResponse:
        size = requests.page_size(request.page_size)
        if request.name:
            before = before_of(request.page_token)
            kept, more = await self._keeper.versions(current().tenant, name_of(request.name, WHAT), size, before)
            token = str(kept[-1].version) if more else ""
        else:
            after = name_of(request.page_token, WHAT, "page_token") if request.page_token else ""
            kept, more = await self._keeper.latest(current().tenant, size, after)
            token = kept[-1].name if more else ""
        return pb.ListAgentsResponse(agents=[agent(each) for each in kept], next_page_token=token)

    async def DeleteAgent(self, request: pb.DeleteAgentRequest, context: Context) -> pb.DeleteAgentResponse:
        name, version = name_of(request.name, WHAT), version_of(request.version)
        return pb.DeleteAgentResponse(deleted=await self._keeper.delete(current().tenant, name, version))


def agent(kept: RegisteredAgent) -> agent_pb2.Agent:
    """An agent as others see it."""
    return agent_pb2.Agent(
        name=kept.name,
        version=kept.version,
        description=kept.description,
        spec=kept.spec,
        digest=kept.digest,
        create_time=timestamp(kept.create_time) if kept.create_time is not None else None,
        model=kept.model,
        shipped=kept.shipped,
        unavailable=kept.unavailable,
        models=kept.models,
        a2a=kept.a2a,
    )
