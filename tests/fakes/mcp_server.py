"""`python -m tests.fakes.mcp_server [http PORT]`: an MCP server, over stdio, or over streamable HTTP at /mcp."""

import asyncio
import base64
import os
import subprocess
import sys
from typing import Annotated

import mcp_types as types
from mcp.server import MCPServer
from mcp.server.mcpserver import Image
from pydantic import Field

server = MCPServer("test")
READS = types.ToolAnnotations(read_only_hint=True)


@server.tool(annotations=READS)
def add(a: int, b: int) -> int:
    """Adds two numbers."""
    return a + b


@server.tool()
def shout(text: Annotated[str, Field(min_length=1)]) -> str:
    """Says it loudly."""
    return text.upper()


@server.tool()
def fail() -> str:
    """Always fails."""
    raise ValueError("no luck")


@server.tool()
def die() -> str:
    """Ends the server in the middle of the call."""
    os._exit(3)


@server.tool()
async def hang() -> str:
    """Never answers."""
    await asyncio.Event().wait()
    return "never"


@server.tool()
def whoami() -> dict[str, str]:
    """The process, its group, and two variables."""
    seen = {name: os.environ.get(name, "") for name in ("MCP_GIVEN", "MCP_SECRET")}
    return {"pid": str(os.getpid()), "group": str(os.getpgrp()), **seen}


@server.tool()
def picture() -> Image:
    """An image, which nobody here can see."""
    return Image(data=base64.b64decode("iVBORw0KGgo="), format="png")


@server.tool()
def large() -> str:
    """Ten million characters."""
    return "x" * 10_000_000


@server.tool()
def huge() -> str:
    """More than anyone takes."""
    return "x" * 40_000_000


@server.tool()
def leave_a_child() -> str:
    """Starts a process that would outlive this one; gives its id."""
    return str(subprocess.Popen(["/bin/sleep", "600"]).pid)


if __name__ == "__main__":
    if sys.argv[1:2] == ["http"]:
        server.run("streamable-http", host="127.0.0.1", port=int(sys.argv[2]))
    else:
        server.run("stdio")
