"""AgentService: validate, convert, one domain call, convert back."""

import re

from headworks.orchestrator.v1 import agent_pb2
from headworks.orchestrator.v1 import agent_service_pb2 as pb
from headworks.orchestrator.v1 import agent_service_pb2_grpc as pb_grpc

from services.orchestrator import requests
from services.orchestrator.agents.service import AgentService, RegisteredAgent
from services.orchestrator.agents.specs.spec import NAME
from services.orchestrator.convert import timestamp
from services.runtime.call import current
from services.runtime.errors import InvalidArgument
from services.runtime.interceptors.pipeline import Context
from services.runtime.permissions import allows


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
        name, version = _name(request.name), _version(request.version)
        return pb.GetAgentResponse(agent=agent(await self._keeper.get(current().tenant, name, version)))

    async def ListAgents(self, request: pb.ListAgentsRequest, context: Context) -> pb.ListAgentsResponse:
        size = requests.page_size(request.page_size)
        if request.name:
            before = _before(request.page_token)
            kept, more = await self._keeper.versions(current().tenant, _name(request.name), size, before)
            token = str(kept[-1].version) if more else ""
        else:
            after = _name(request.page_token, "page_token") if request.page_token else ""
            kept, more = await self._keeper.latest(current().tenant, size, after)
            token = kept[-1].name if more else ""
        return pb.ListAgentsResponse(agents=[agent(each) for each in kept], next_page_token=token)

    async def DeleteAgent(self, request: pb.DeleteAgentRequest, context: Context) -> pb.DeleteAgentResponse:
        name, version = _name(request.name), _version(request.version)
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


def _name(name: str, field: str = "name") -> str:
    if not re.fullmatch(NAME, name):
        raise InvalidArgument("an agent's name is 1 to 64 of a-z, 0-9, '-' and '_'", field=field)
    return name


def _version(version: int) -> int:
    if version < 0:
        raise InvalidArgument("version must not be negative", field="version")
    return version


def _before(token: str) -> int | None:
    if not token:
        return None
    if not token.isdecimal() or len(token) > 9:
        raise InvalidArgument("page_token must be a next_page_token of this method", field="page_token")
    return int(token)
