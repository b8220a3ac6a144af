"""The gateway as an MCP server: the protocol's requests to the sources of tools, and their errors back."""

import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from importlib.metadata import version
from itertools import count
from typing import Any, TypeVar

import grpc
import mcp_types as types
from mcp import MCPError
from mcp.server import Server, ServerRequestContext

from gateway.faces.http.asgi import exchange_of, in_time
from gateway.faces.http.mcp.in_flight import RequestsInFlight
from gateway.faces.http.mcp.servers import ServerContents
from gateway.faces.http.mcp.tools import OfferedTool, ToolSource, failed
from gateway.faces.http.rpc_errors import code_of, error_json
from services.runtime.call import Call
from services.runtime.errors import DomainError, ErrorKind, InvalidArgument, Unavailable
from services.runtime.interceptors.standard import Errors
from services.runtime.numerals import numeral
from services.runtime.statuses import cut

log = logging.getLogger(__name__)

PAGE = 200
CANCELLED = -32800
"""As the language server protocol has it; MCP names no code."""
INSTRUCTIONS = (
    "Tools named ask_… are agents: each takes a question and answers with its sources. Tools named search_… return "
    "passages of one collection. The others are those of servers that the tenant has registered."
)
Context = ServerRequestContext[Any]
T = TypeVar("T")
Item = TypeVar("Item")


class McpHandlers:
    """Handlers of requests, each of which stands alone. `in_flight` are those that a client may cancel."""

    def __init__(self, sources: Sequence[ToolSource], contents: ServerContents, in_flight: RequestsInFlight) -> None:
        self._sources = sources
        self._contents = contents
        self._in_flight = in_flight
        self._errors = Errors()

    def server(self) -> Server[Any]:
        """The same as the protocol's library has it."""
        return Server(
            "headworks",
            version=version("headworks"),
            title="Headworks",
            instructions=INSTRUCTIONS,
            get_tool_input_schema=lambda name: None,  # or all tools would be listed before each call
            on_list_tools=self.list_tools,
            on_call_tool=self.call_tool,
            on_list_resources=self.list_resources,
            on_list_resource_templates=self.list_resource_templates,
            on_read_resource=self.read_resource,
            on_list_prompts=self.list_prompts,
            on_get_prompt=self.get_prompt,
        )

    async def list_tools(self, context: Context, params: types.PaginatedRequestParams | None) -> types.ListToolsResult:
        """A page of the tools that the caller may call, in an order that stays."""
        page, cursor = await self._listed(context, params, self._tools)
        return types.ListToolsResult(tools=page, next_cursor=cursor)

    async def list_resources(
        self, context: Context, params: types.PaginatedRequestParams | None
    ) -> types.ListResourcesResult:
        """A page of the resources of the tenant's servers."""
        page, cursor = await self._listed(context, params, self._contents.resources)
        return types.ListResourcesResult(resources=page, next_cursor=cursor)

    async def list_resource_templates(
        self, context: Context, params: types.PaginatedRequestParams | None
    ) -> types.ListResourceTemplatesResult:
        """A page of their templates."""
        page, cursor = await self._listed(context, params, self._contents.templates)
        return types.ListResourceTemplatesResult(resource_templates=page, next_cursor=cursor)

    async def list_prompts(
        self, context: Context, params: types.PaginatedRequestParams | None
    ) -> types.ListPromptsResult:
        """A page of their prompts."""
        page, cursor = await self._listed(context, params, self._contents.prompts)
        return types.ListPromptsResult(prompts=page, next_cursor=cursor)

    async def read_resource(
        self, context: Context, params: types.ReadResourceRequestParams
    ) -> types.ReadResourceResult:
        """A resource as it may be read."""
        return await self._asked(context, lambda call: self._contents.read(str(params.uri), call))

    async def get_prompt(self, context: Context, params: types.GetPromptRequestParams) -> types.GetPromptResult:
        """A prompt as it may be read."""
        given = params.arguments or {}
        return await self._asked(context, lambda call: self._contents.prompt(params.name, given, call))

    async def call_tool(self, context: Context, params: types.CallToolRequestParams) -> types.CallToolResult:
        """What comes of a tool's call. An error of it is a result, which a model can react to."""

        async def work(call: Call) -> types.CallToolResult:
            tool = await self._tool(params.name, call)
            return await tool.call(params.arguments or {}, call, partial(_report, context, count(1)))

        try:
            return await self._under(context, work)
        except ToolNotFound as error:
            raise rpc_error(error) from error
        except DomainError as error:
            return failed(error)

    async def _listed(
        self,
        context: Context,
        params: types.PaginatedRequestParams | None,
        every: Callable[[Call], Awaitable[list[Item]]],
    ) -> tuple[list[Item], str | None]:
        async def work(call: Call) -> tuple[list[Item], str | None]:
            return _page(await every(call), params)

        return await self._asked(context, work)

    async def _asked(self, context: Context, work: Callable[[Call], Awaitable[T]]) -> T:
        """The work for a request that is no tool's call. Raises MCPError."""
        try:
            return await self._under(context, work)
        except DomainError as error:
            raise rpc_error(error) from error

    async def _tools(self, call: Call) -> list[types.Tool]:
        """Those of a source that is gone are left out, unless there are no others."""
        found: list[types.Tool] = []
        lost: Exception | None = None
        for source in self._sources:
            try:
                found += [tool.declaration for tool in await source.tools(call)]
            except (grpc.aio.AioRpcError, Unavailable) as error:
                log.warning("tools are left out of a list", extra={"source": type(source).__name__}, exc_info=error)
                lost = error
        if lost is not None and not found:
            raise lost
        return found

    async def _tool(self, name: str, call: Call) -> OfferedTool:
        for source in self._sources:
            if (tool := await source.tool(name, call)) is not None:
                return tool
        raise ToolNotFound(name)

    async def _under(self, context: Context, work: Callable[[Call], Awaitable[T]]) -> T:
        """The work for a request, until just before its call's deadline. Raises a DomainError, which the call has then,
        and MCPError where the client has cancelled the request."""
        exchange = exchange_of(context.request)
        call = exchange.call
        with exchange.working(), self._in_flight.held(exchange, context.request_id):
            return await self._errors.around(call, partial(in_time, call, work))
        call.code, call.reason = int(ErrorKind.CANCELLED), "CANCELLED"
        raise MCPError(CANCELLED, "the client has cancelled this request")


class ToolNotFound(DomainError):
    """No tool has that name, or the caller may not know of it."""

    kind = ErrorKind.NOT_FOUND
    reason = "TOOL_NOT_FOUND"

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no tool {name[:100]!r}", tool=name[:100])


def rpc_error(error: DomainError) -> MCPError:
    """The error of a request that is no tool's call."""
    return MCPError(code_of(error), cut(error.message), error_json(error))


async def _report(context: Context, numbers: Iterator[int], words: str) -> None:
    """Nothing happens where the client has given no token for it."""
    await context.session.report_progress(next(numbers), message=words)


def _page(tools: Sequence[Item], params: types.PaginatedRequestParams | None) -> tuple[list[Item], str | None]:
    """Raises InvalidArgument for a cursor that is none of ours."""
    cursor = (params and params.cursor) or "0"
    start = numeral(cursor, 9)
    if start is None:
        raise InvalidArgument("this cursor was not given by this server", field="cursor")
    end = start + PAGE
    return list(tools[start:end]), str(end) if end < len(tools) else None
