"""The MCP servers of a tenant, passed on: their tools, resources and prompts under names of this server's."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

import mcp_types as types
from mcp import Client

from gateway.access.authorize import may
from gateway.calls.mcp import McpCalls
from gateway.faces.http.mcp.tools import OfferedTool, Progress
from gateway.mcp.names import tool_name
from gateway.mcp.servers import McpServerGone, McpServerRefused, McpServers, TenantServer
from services.runtime.call import Call
from services.runtime.errors import DeadlineExceeded, DomainError, ErrorKind

MAX_PAGES = 20
MOST_ITEMS = 1000
"""Of one kind that one server lists; what is more is left out."""
SCHEME = "mcp-"
LIST_SECONDS = 15.0
REPORT_SECONDS = 0.1
"""How often at most a server's progress is passed on."""
Item = TypeVar("Item", types.Resource, types.ResourceTemplate, types.Prompt)
Page = tuple[Sequence[Item], str | None]
log = logging.getLogger(__name__)


class NotOffered(DomainError):
    """No server of the tenant's has it, or none that the caller may read."""

    kind = ErrorKind.NOT_FOUND
    reason = "NOT_FOUND"

    def __init__(self, what: str, name: str) -> None:
        super().__init__(f"there is no {what} {name[:200]!r}")


class ServerTools:
    """Every tool of the tenant's servers that the caller may call."""

    def __init__(self, servers: McpServers, calls: McpCalls) -> None:
        self._servers = servers
        self._calls = calls

    async def tools(self, call: Call) -> Sequence[OfferedTool]:
        """Those of a server that is gone are left out."""
        servers = self._servers.of(call.tenant)
        listed = await asyncio.gather(*(_or_none(server, self._of(server, call)) for server in servers))
        return [tool for tools in listed for tool in tools]

    async def tool(self, name: str, call: Call) -> OfferedTool | None:
        """Raises McpServerGone, too, to those who may know of the server."""
        prefix, _, rest = name.partition("_")
        for server in self._servers.of(call.tenant):
            if server.name == prefix:
                try:
                    listed = await server.tools()
                except McpServerGone:
                    if may(call, _calls(server, rest)):
                        raise
                    return None
                for tool in listed:
                    if tool_name(server.name, tool.name) == name and may(call, _calls(server, tool.name)):
                        # Not one whose description the guards keep from being read.
                        for readable in await self._calls.listed(server, call, [tool]):
                            return self._offered(server, tool.name, readable)
        return None

    async def _of(self, server: TenantServer, call: Call) -> list[OfferedTool]:
        there = [tool for tool in await server.tools() if may(call, _calls(server, tool.name))]
        found: list[OfferedTool] = []
        for tool in there:
            found += [self._offered(server, tool.name, each) for each in await self._calls.listed(server, call, [tool])]
        return found

    def _offered(self, server: TenantServer, tool: str, readable: types.Tool) -> OfferedTool:
        async def ask(arguments: Mapping[str, Any], call: Call, tell: Progress) -> types.CallToolResult:
            quiet = self._calls.guards(server, call, tool).screens_context

            due = 0.0

            async def report(progress: float, total: float | None, message: str | None) -> None:
                nonlocal due
                if time.monotonic() < due:
                    return
                due = time.monotonic() + REPORT_SECONDS
                figures = f"{progress:g}" if total is None else f"{progress:g} of {total:g}"
                await tell(figures if quiet or not message else message[:500])

            return await self._calls.call_tool(server, tool, arguments, call, report)

        declared = readable.model_copy(update={"name": tool_name(server.name, tool), "execution": None})
        return OfferedTool(declared, ask)


class ServerContents:
    """The resources and prompts of the tenant's servers. A resource's URI is "mcp-SERVER:" and the one that it has
    there. Nothing is subscribed to: each is read when it is asked for."""

    def __init__(self, servers: McpServers, calls: McpCalls) -> None:
        self._servers = servers
        self._calls = calls

    async def resources(self, call: Call) -> list[types.Resource]:
        """Raises what McpCalls raises."""

        async def page(client: Client, cursor: str | None) -> Page[types.Resource]:
            found = await client.list_resources(cursor=cursor)
            return found.resources, found.next_cursor

        return [
            one.model_copy(update={"uri": f"{SCHEME}{server.name}:{one.uri}"})
            for server, items in await self._all(call, page)
            for one in items
        ]

    async def templates(self, call: Call) -> list[types.ResourceTemplate]:
        """Raises the same."""

        async def page(client: Client, cursor: str | None) -> Page[types.ResourceTemplate]:
            found = await client.list_resource_templates(cursor=cursor)
            return found.resource_templates, found.next_cursor

        return [
            one.model_copy(update={"uri_template": f"{SCHEME}{server.name}:{one.uri_template}"})
            for server, items in await self._all(call, page)
            for one in items
        ]

    async def prompts(self, call: Call) -> list[types.Prompt]:
        """Raises the same."""
        return [
            one.model_copy(update={"name": tool_name(server.name, one.name)})
            for server, items in await self._all(call, _prompts)
            for one in items
        ]

    async def read(self, uri: str, call: Call) -> types.ReadResourceResult:
        """Raises NotOffered, and the same."""
        prefix, _, rest = uri.partition(":")
        server = self._named(prefix.removeprefix(SCHEME), call) if prefix.startswith(SCHEME) else None
        if server is None or not rest:
            raise NotOffered("resource", uri)
        result = await self._calls.read_resource(server, rest, call)
        for content in result.contents:
            content.uri = f"{SCHEME}{server.name}:{content.uri}"
        return result

    async def prompt(self, name: str, arguments: Mapping[str, str], call: Call) -> types.GetPromptResult:
        """Raises NotOffered, and the same."""
        server = self._named(name.partition("_")[0], call)
        if server is None:
            raise NotOffered("prompt", name)
        for one in await self._listed(server, call, _prompts):
            if tool_name(server.name, one.name) == name:
                return await self._calls.get_prompt(server, one.name, arguments, call)
        raise NotOffered("prompt", name)

    def _named(self, name: str, call: Call) -> TenantServer | None:
        for server in self._servers.of(call.tenant):
            if server.name == name and may(call, _reads(server)):
                return server
        return None

    async def _all(
        self, call: Call, page: Callable[[Client, str | None], Awaitable[Page[Item]]]
    ) -> list[tuple[TenantServer, Sequence[Item]]]:
        servers = [one for one in self._servers.of(call.tenant) if may(call, _reads(one))]

        async def readable(server: TenantServer) -> Sequence[Item]:
            return await self._calls.listed(server, call, await self._listed(server, call, page))

        listed = await asyncio.gather(*(_or_none(server, readable(server)) for server in servers))
        return list(zip(servers, listed, strict=True))

    async def _listed(
        self, server: TenantServer, call: Call, page: Callable[[Client, str | None], Awaitable[Page[Item]]]
    ) -> Sequence[Item]:
        async def question(client: Client) -> list[Item]:
            found: list[Item] = []
            cursor = None
            for _ in range(MAX_PAGES):
                items, cursor = await page(client, cursor)
                found += items
                if cursor is None or len(found) >= MOST_ITEMS:
                    break
            return found[:MOST_ITEMS]

        owner = call.identity.subject if call.identity else ""
        try:
            return await server.ask(owner, min(LIST_SECONDS, call.remaining), question)
        except McpServerRefused:
            return []  # it has none of that kind


async def _prompts(client: Client, cursor: str | None) -> Page[types.Prompt]:
    found = await client.list_prompts(cursor=cursor)
    return found.prompts, found.next_cursor


T = TypeVar("T")


async def _or_none(server: TenantServer, listing: Awaitable[Sequence[T]]) -> Sequence[T]:
    """What a server lists; nothing of one that is gone."""
    try:
        return await listing
    except (McpServerGone, DeadlineExceeded) as error:
        log.warning("an MCP server is left out of a list", extra={"server": server.name, "why": error.message})
        return ()


def _calls(server: TenantServer, tool: str) -> str:
    return f"mcp.call:{server.name}/{tool}"


def _reads(server: TenantServer) -> str:
    return f"mcp.read:{server.name}"
