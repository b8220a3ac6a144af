"""A tool that is offered by MCP, where tools come from, and what becomes of an error."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import mcp_types as types

from gateway.faces.http.rpc_errors import error_json
from services.runtime.call import Call
from services.runtime.errors import DomainError
from services.runtime.statuses import cut

ERROR_KEY = "headworks/error"
"""Where in a result's `_meta` an error is, for programs."""

# Reports that work goes on: in words.
Progress = Callable[[str], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class OfferedTool:
    """`call` raises a DomainError or grpc.aio.AioRpcError."""

    declaration: types.Tool
    call: Callable[[Mapping[str, Any], Call, Progress], Awaitable[types.CallToolResult]]


class ToolSource(Protocol):
    """Where tools come from. Each shows a caller the tools that it may call, and no others."""

    async def tools(self, call: Call) -> Sequence[OfferedTool]:
        """Raises a DomainError or grpc.aio.AioRpcError."""
        ...

    async def tool(self, name: str, call: Call) -> OfferedTool | None:
        """None where no tool of this source has that name. Raises the same."""
        ...


def failed(error: DomainError) -> types.CallToolResult:
    """The error of a call, as a result that a model can react to."""
    text = types.TextContent(type="text", text=f"{error.reason}: {cut(error.message)}")
    return types.CallToolResult(content=[text], is_error=True, _meta={ERROR_KEY: error_json(error)})
