"""Methods that change a tenant's agents: passed on like others, and what is cached of the tenant is dropped."""

from typing import Any

import grpc
from headworks.orchestrator.v1 import agent_service_pb2 as pb

from gateway.calls.agents import Agents
from services.runtime.contract import path
from services.runtime.interceptors.handlers import Handler, behaviour
from services.runtime.interceptors.pipeline import Context, call_of

_METHODS = pb.DESCRIPTOR.services_by_name["AgentService"].methods_by_name
CHANGING = ("ApplyAgent", "DeleteAgent")


def following(agents: Agents, routes: dict[str, Handler]) -> dict[str, Handler]:
    """The handlers of the routes that change agents, so that the next call is decided by the agent as it is then."""
    return {one: _following(agents, behaviour(routes[one])) for one in (path(_METHODS[name]) for name in CHANGING)}


def _following(agents: Agents, forward: Any) -> Handler:
    async def change(request: Any, context: Context) -> Any:
        try:
            return await forward(request, context)
        finally:
            agents.changed(call_of(context).tenant)

    return grpc.unary_unary_rpc_method_handler(change)
