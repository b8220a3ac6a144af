"""A set of agents that does not change, the same for all tenants."""

from collections.abc import Iterable, Sequence

from services.orchestrator.runs.agent import Agent, Listed
from services.runtime.errors import ModelNotFound


class FixedAgents:
    def __init__(self, agents: Iterable[Agent]) -> None:
        self._agents = {agent.name: agent for agent in agents}

    async def find(self, tenant: str, model: str) -> Agent:
        agent = self._agents.get(model.partition("@")[0])
        if agent is None:
            raise ModelNotFound(model)
        return agent

    async def models(self, tenant: str) -> Sequence[Listed]:
        agents = sorted(self._agents.items())
        return [Listed(name, agent.description, agent.version) for name, agent in agents]
