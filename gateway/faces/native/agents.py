"""Methods that change a tenant's agents and prompts: passed on like others, and what is cached of the tenant is
dropped."""

from collections.abc import Callable
from typing import Any

import grpc
from headworks.orchestrator.v1 import agent_service_pb2, prompt_service_pb2

from gateway.calls.agents import Agents
from gateway.calls.prompts import Prompts
from services.runtime.contract import path
from services.runtime.interceptors.handlers import Handler, behaviour
from services.runtime.interceptors.pipeline import Context, call_of

_AGENTS = agent_service_pb2.DESCRIPTOR.services_by_name["AgentService"].methods_by_name
_PROMPTS = prompt_service_pb2.DESCRIPTOR.services_by_name["PromptService"].methods_by_name
CHANGING = [path(_AGENTS["ApplyAgent"]), path(_AGENTS["DeleteAgent"])]
CHANGING_PROMPTS = [path(_PROMPTS["ApplyPrompt"]), path(_PROMPTS["DeletePrompt"])]


def following(agents: Agents, prompts: Prompts, routes: dict[str, Handler]) -> dict[str, Handler]:
    """The handlers of the routes that change agents or prompts, so that the next call is decided by what they are
    then."""

    def all_changed(tenant: str) -> None:
        prompts.changed(tenant)
        agents.changed(tenant)  # whose instructions may be one

    changing = {one: _following(agents.changed, behaviour(routes[one])) for one in CHANGING}
    return changing | {one: _following(all_changed, behaviour(routes[one])) for one in CHANGING_PROMPTS}


def _following(changed: Callable[[str], None], forward: Any) -> Handler:
    async def change(request: Any, context: Context) -> Any:
        try:
            return await forward(request, context)
        finally:
            changed(call_of(context).tenant)

    return grpc.unary_unary_rpc_method_handler(change)
