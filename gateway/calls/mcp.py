"""Calls of MCP servers: admitted like those of models, and what comes back screened like what an agent reads."""

import logging
from collections import OrderedDict
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

import mcp_types as types
import orjson
from mcp import Client
from mcp.shared.dispatcher import ProgressFnT
from pydantic import BaseModel, ValidationError

from gateway.audit.entry import Decision
from gateway.calls import metrics
from gateway.calls.batches import in_batches
from gateway.calls.call import time_left
from gateway.calls.errors import ContentFiltered, Unscreenable
from gateway.calls.mcp_texts import McpTexts
from gateway.calls.pipeline import CallPipeline
from gateway.calls.request import ModelRequest
from gateway.guard.pipeline import GuardPipeline
from gateway.mcp.names import fitting
from gateway.mcp.servers import McpServerRefused, TenantServer
from services.runtime.call import Call
from services.runtime.errors import DomainError

PREFIX = "mcp/"
"""What the names begin with that servers and their tools have in limits, usage, the audit, and policies of guards."""
MOST_BYTES = 4 << 20
MOST_SCREENED = 2000
"""Descriptions that are kept as they may be read."""
Result = TypeVar("Result", bound=BaseModel)
log = logging.getLogger(__name__)


class McpResultTooLarge(DomainError):
    reason = "MCP_RESULT_TOO_LARGE"

    def __init__(self, server: str) -> None:
        super().__init__(f"the server {server} answers with more than {MOST_BYTES >> 20} MiB", server=server)


class McpCalls:
    """Every call is one of the tenant's own model "mcp/SERVER/WHAT", which asks "mcp/SERVER"."""

    def __init__(self, pipeline: CallPipeline) -> None:
        self._pipeline = pipeline
        self._screened: OrderedDict[tuple[GuardPipeline, str], BaseModel | None] = OrderedDict()

    async def call_tool(
        self, server: TenantServer, tool: str, arguments: Mapping[str, Any], call: Call, progress: ProgressFnT
    ) -> types.CallToolResult:
        """What the tool returns, as it may be read. Raises what admission raises, ContentFiltered, Unscreenable, and
        what TenantServer.ask raises."""

        def question(given: dict[str, Any]) -> Callable[[Client], Awaitable[types.CallToolResult]]:
            return lambda client: client.call_tool(tool, given, progress_callback=progress)

        return await self._ask(server, tool, dict(arguments), call, question)

    async def read_resource(self, server: TenantServer, uri: str, call: Call) -> types.ReadResourceResult:
        """Raises the same."""
        return await self._ask(
            server, "resources", {"uri": uri}, call, lambda given: lambda client: client.read_resource(given["uri"])
        )

    async def get_prompt(
        self, server: TenantServer, prompt: str, arguments: Mapping[str, str], call: Call
    ) -> types.GetPromptResult:
        """Raises the same."""
        return await self._ask(
            server, "prompts", dict(arguments), call, lambda given: lambda client: client.get_prompt(prompt, given)
        )

    def guards(self, server: TenantServer, call: Call, what: str = "") -> GuardPipeline:
        """Raises GuardPolicyBroken."""
        names = (_name(server, what),) if what else ()
        return self._pipeline.guards(call, *names, f"{PREFIX}{server.name}")

    async def listed(self, server: TenantServer, call: Call, items: Sequence[Result]) -> list[Result]:
        """What a server lists of itself, as it may be read; what is blocked is left out."""
        guards = self.guards(server, call)
        readable = [await self._known(item, guards, call.tenant, server.name) for item in items]
        return [item for item in readable if item is not None]

    async def _known(self, item: Result, guards: GuardPipeline, tenant: str, server: str) -> Result | None:
        """What a server lists is the same each time, and screened once by a policy."""
        key = guards, item.model_dump_json(by_alias=True, exclude_none=True)
        if key in self._screened:
            self._screened.move_to_end(key)
            known: Result | None = self._screened[key]  # type: ignore[assignment]  # of the same JSON
            if known is None or isinstance(known, type(item)):
                return known
        readable: Result | None = None
        try:
            readable = await self._readable(item, guards, tenant, server)
        except (ContentFiltered, Unscreenable, McpResultTooLarge) as error:
            named = {"server": server, "item": str(getattr(item, "name", ""))[:100], "why": error.message}
            log.warning("something that an MCP server lists is left out", extra=named)
        self._screened[key] = readable
        if len(self._screened) > MOST_SCREENED:
            self._screened.popitem(last=False)
        return readable

    async def _ask(
        self,
        server: TenantServer,
        what: str,
        arguments: dict[str, Any],
        call: Call,
        question: Callable[[dict[str, Any]], Callable[[Client], Awaitable[Result]]],
    ) -> Result:
        name = _name(server, what)
        guards = self.guards(server, call, what)
        given = McpTexts(arguments)

        async def answers(texts: Sequence[str]) -> AsyncGenerator[tuple[Result, int], None]:
            given.put(texts)
            try:
                result = await server.ask(_owner(call), time_left(call), question(given.value))
            except McpServerRefused as error:
                screened = await guards.screen_context([error.message], owner=call.tenant)
                if screened.blocked is not None:
                    raise ContentFiltered(screened.blocked) from error
                raise McpServerRefused(
                    f"the server {server.name} answers: {screened.texts[0][:2000]}", server=server.name
                ) from error
            try:
                readable = await self._readable(result, guards, call.tenant, server.name)
            except (ContentFiltered, Unscreenable):
                call.notes["decision"] = Decision.BLOCKED.value
                raise
            yield readable, 0

        asked = ModelRequest(
            name, given.texts, answer_tokens=0, unread=given.unread, models=(f"{PREFIX}{server.name}",)
        )
        [result], _ = await in_batches(self._pipeline, call, asked, answers)
        return result

    async def _readable(self, said: Result, guards: GuardPipeline, tenant: str, server: str) -> Result:
        """What a server says, as it may be read. Raises ContentFiltered, Unscreenable, McpResultTooLarge."""
        data = said.model_dump_json(by_alias=True, exclude_none=True)
        if len(data) > MOST_BYTES:
            raise McpResultTooLarge(server)
        texts = McpTexts(orjson.loads(data))
        if texts.unread and guards.acts_on_context:
            metrics.UNSCREENABLE.labels("answer").inc()
            raise Unscreenable(texts.unread, "cannot be read as text")
        screened = await guards.screen_context(texts.texts, owner=tenant)
        if screened.blocked is not None:
            raise ContentFiltered(screened.blocked)
        texts.put(screened.texts)
        try:
            return type(said).model_validate(texts.value, by_name=False)
        except ValidationError as error:
            raise Unscreenable("the result", "is none any more as it may be read") from error


def _name(server: TenantServer, what: str) -> str:
    """A tool's name is the server's to choose, and has to fit what keeps it."""
    return f"{PREFIX}{server.name}/{fitting(what)}"


def _owner(call: Call) -> str:
    return call.identity.subject if call.identity else ""
