"""The paths of Agent2Agent: the cards of agents, and what is sent to them."""

from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from typing import Any

import grpc
from a2a.server.routes.jsonrpc_dispatcher import JsonRpcDispatcher
from headworks.orchestrator.v1 import agent_pb2, agent_service_pb2, agent_service_pb2_grpc
from starlette.requests import Request as StarletteRequest

from gateway.access.authorize import allows
from gateway.calls.runs import RunCalls
from gateway.faces.http.a2a.cards import base_of, card
from gateway.faces.http.a2a.handler import A2aHandler, Contexts
from gateway.faces.http.asgi import AsgiExchange
from gateway.faces.http.message import Body, Request, as_json
from gateway.faces.http.openai import fields
from gateway.faces.http.routes import Route, plain_route
from services.runtime import clients
from services.runtime.call import Call, outgoing
from services.runtime.errors import DomainError, ErrorKind

WELL_KNOWN = "/.well-known/agent-card.json"
PAGE = 1000


class NotOffered(DomainError):
    """There is no such agent, or its spec does not offer it to others."""

    kind = ErrorKind.NOT_FOUND
    reason = "AGENT_NOT_OFFERED"

    def __init__(self, name: str) -> None:
        super().__init__(f"no agent {name[:64]!r} is offered here: its spec says `a2a: true`", agent=name[:64])


class WhichAgent(DomainError):
    """The well-known path has one card."""

    kind = ErrorKind.NOT_FOUND
    reason = "WHICH_AGENT"

    def __init__(self, names: Iterable[str]) -> None:
        paths = ", ".join(f"/a2a/{name}{WELL_KNOWN}" for name in names)
        super().__init__(f"there is not one agent that is offered: {paths or 'none is'}")


class A2aFace:
    """Only an agent whose spec says so is offered, and to those who may call it. `public_url`: see `base_of`."""

    def __init__(self, orchestrator: grpc.aio.Channel, runs: RunCalls, public_url: str = "") -> None:
        self._public_url = public_url
        self._agents = agent_service_pb2_grpc.AgentServiceStub(orchestrator)
        self._dispatcher = JsonRpcDispatcher(A2aHandler(orchestrator, runs), Contexts(), enable_v0_3_compat=True)

    def routes(self) -> Iterable[Route]:
        return (
            plain_route("GET", WELL_KNOWN, self.only_card),
            plain_route("GET", f"/a2a/{{agent}}{WELL_KNOWN}", self.card),
            plain_route("POST", "/a2a/{agent}", self.exchange),
        )

    async def only_card(self, request: Request, call: Call) -> AsyncGenerator[Body, None]:
        """The card of the only agent that the caller may call. Raises WhichAgent where there are others."""
        scopes = call.identity.scopes if call.identity else frozenset()
        asked = agent_service_pb2.ListAgentsRequest(page_size=PAGE)
        found = await clients.unary(self._agents.ListAgents(asked, **outgoing(call.remaining, call)))
        offered = [agent for agent in found.agents if agent.a2a and allows(scopes, f"models.call:{agent.name}")]
        if len(offered) != 1:
            raise WhichAgent(agent.name for agent in offered)
        yield as_json(card(offered[0], base_of(call.metadata, self._public_url)))

    async def card(self, request: Request, call: Call) -> AsyncGenerator[Body, None]:
        """An agent's card. Raises NotOffered."""
        yield as_json(
            card(await self._offered(request.params["agent"], call), base_of(call.metadata, self._public_url))
        )

    async def exchange(self, request: Request, call: Call) -> AsyncGenerator[Body, None]:
        """One request of another agent, and what it is answered."""
        message = fields.parse(request.body)
        agent = await self._offered(request.params["agent"], call)
        exchange = AsgiExchange(call, message.get("id"), agent.name)
        async with aclosing(exchange.bodies(self._serve, request.body)) as bodies:
            async for body in bodies:
                yield body

    async def _serve(self, scope: Any, receive: Any, send: Any) -> None:
        response = await self._dispatcher.handle_requests(StarletteRequest(scope, receive))
        await response(scope, receive, send)

    async def _offered(self, name: str, call: Call) -> agent_pb2.Agent:
        asked = agent_service_pb2.GetAgentRequest(name=name)
        try:
            found = await clients.unary(self._agents.GetAgent(asked, **outgoing(call.remaining, call)))
        except grpc.aio.AioRpcError as error:
            if error.code() in (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INVALID_ARGUMENT):
                raise NotOffered(name) from error
            raise
        if not found.agent.a2a:
            raise NotOffered(name)
        return found.agent
