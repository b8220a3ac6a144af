"""The tools of MCP servers as tools of agents."""

import logging
from collections.abc import Container, Mapping, Sequence
from dataclasses import replace
from typing import Any

import mcp_types as types
from mcp import MCPError
from pydantic import ValidationError

from services.orchestrator.domain.tool import Declaration, Reason, ToolContext, ToolFailed
from services.orchestrator.tools.arguments import ArgumentSchema
from services.orchestrator.tools.mcp_results import text_of
from services.orchestrator.tools.naming import mcp_name, mcp_name_apart
from services.runtime.mcp.server import McpServer, ServerGone

MAX_DESCRIPTION = 2000

log = logging.getLogger(__name__)


async def tools_of(server: McpServer, allow: Sequence[str] = ()) -> list["McpTool"]:
    """The server's tools, or those in `allow`. Raises ServerGone, and ValueError for a tool that is not there or has no
    schema."""
    listed = {tool.name: tool for tool in await server.tools()}
    missing = [name for name in allow if name not in listed]
    if missing:
        raise ValueError(f"the server has no tool {missing[0]!r}; it has: {', '.join(listed) or 'none'}")
    return [McpTool(server, listed[name]) for name in allow or listed]


class McpTool:
    """A tool of a server, as SERVER_TOOL, with a few characters more where another tool has that name. Whether it may
    be called again is what the server says of it."""

    def __init__(self, server: McpServer, tool: types.Tool) -> None:
        """Raises ValueError for a schema that is none."""
        schema = dict(tool.input_schema)
        try:
            ArgumentSchema(schema)
        except ValueError as error:
            raise ValueError(f"the tool {tool.name!r} of the server {server.name!r}: {error}") from error
        self._server = server
        self._tool = tool.name
        self.places = server.places
        self.breaker = server.breaker
        self.declaration = Declaration(
            mcp_name(server.name, tool.name), (tool.description or tool.title or "")[:MAX_DESCRIPTION], schema
        )
        hints = tool.annotations
        self.idempotent = bool(hints and (hints.read_only_hint or hints.idempotent_hint))

    def avoid(self, taken: Container[str]) -> None:
        """Have a name that no other tool has. The same tool has the same one each time, whatever came before it."""
        if self.declaration.name in taken:
            self.declaration = replace(self.declaration, name=mcp_name_apart(self._server.name, self._tool))

    async def call(self, arguments: Mapping[str, Any], context: ToolContext) -> str:
        try:
            result = await self._server.call(self._tool, arguments)
        except ServerGone as error:
            raise ToolFailed(str(error), retryable=True, reason=Reason.UNAVAILABLE) from error
        except MCPError as error:
            raise ToolFailed(f"the server answered: {error.message[:MAX_DESCRIPTION]}") from error
        except (ValidationError, RuntimeError) as error:
            log.warning("a broken answer of the MCP server %s", self._server.name, exc_info=error)
            raise ToolFailed("the server's answer is not what it promises", reason=Reason.INVALID_RESULT) from error
        text = text_of(result)
        if result.is_error:
            raise ToolFailed(text or "the tool failed and says no more")
        return text
