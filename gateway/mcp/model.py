"""An MCP server as a tenant registers it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import httpx2

from services.runtime.errors import DomainError, ErrorKind, InvalidArgument
from services.runtime.hosts import PORTS, HostRule

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,30}")
RESERVED = ("ask", "search")
"""What the names of agents' and collections' tools begin with."""
SECONDS = 60.0
MOST_SECONDS = 600.0
MOST_HEADERS, MOST_TOOLS, LONGEST = 20, 200, 4096
CLIENT_SECRET = "client_secret"  # noqa: S105 (the name of one)
HEADER = "header:"
_TOKEN = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]{1,100}")
_OURS = ("host", "content-", "accept", "connection", "transfer-", "mcp-", "proxy-", "te", "upgrade", "x-headworks-")
_PATTERN = re.compile(r"[^\s*]{1,128}\*?|\*")


@dataclass(frozen=True, slots=True)
class OAuthClient:
    """How the gateway gets tokens, by client credentials: at the authorization server `issuer`, and no other."""

    issuer: str
    client_id: str
    scope: str = ""


@dataclass(frozen=True, slots=True)
class McpServerSpec:
    """`headers` are the names of those that it is asked with, whose values are secrets. `tools`: the names of those
    that are offered, or their beginnings with a *. `seconds`: how long one call may take."""

    url: str
    headers: tuple[str, ...] = ()
    oauth: OAuthClient | None = None
    tools: tuple[str, ...] = ("*",)
    seconds: float = SECONDS

    def offers(self, tool: str) -> bool:
        return any(tool.startswith(one[:-1]) if one.endswith("*") else tool == one for one in self.tools)

    @property
    def origin(self) -> tuple[str, str, int]:
        """Whose secrets they are."""
        return origin_of(httpx2.URL(self.url))


@dataclass(frozen=True, slots=True)
class StoredServer:
    """`secrets`: sealed. `updated`: seconds since the epoch."""

    tenant: str
    name: str
    spec: McpServerSpec
    secrets: str = field(repr=False)
    updated: float


class McpServerNotFound(DomainError):
    kind = ErrorKind.NOT_FOUND
    reason = "MCP_SERVER_NOT_FOUND"

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no MCP server {name[:100]!r}", name=name[:100])


class TooManyMcpServers(DomainError):
    kind = ErrorKind.RESOURCE_EXHAUSTED
    reason = "TOO_MANY_MCP_SERVERS"

    def __init__(self, most: int) -> None:
        super().__init__(f"there are {most} MCP servers, and there may be no more")


def origin_of(url: httpx2.URL) -> tuple[str, str, int]:
    return url.scheme, url.host, url.port or PORTS.get(url.scheme, 0)


def check_name(name: str) -> None:
    """Raises InvalidArgument."""
    if not NAME.fullmatch(name) or name in RESERVED:
        raise InvalidArgument(
            f"name must be 1 to 31 of a-z, 0-9 and -, and neither {' nor '.join(RESERVED)}", field="name"
        )


def check_url(text: str, hosts: Sequence[HostRule], field_name: str = "url") -> str:
    """The URL, if it is one that may be asked. Raises InvalidArgument."""
    try:
        url = httpx2.URL(text.strip())
    except (httpx2.InvalidURL, UnicodeError, ValueError) as error:
        raise InvalidArgument(f"{field_name} is no URL", field=field_name) from error
    if url.scheme not in PORTS or not url.host or len(text) > LONGEST:
        raise InvalidArgument(f"{field_name} must begin with https:// and a host", field=field_name)
    if url.userinfo or url.fragment:
        raise InvalidArgument(f"{field_name} must have no user, password or fragment", field=field_name)
    scheme, host, port = origin_of(url)
    if not any(rule.allows(scheme, host, port) for rule in hosts):
        raise InvalidArgument(
            f"{field_name}: {scheme}://{host}:{port} is not allowed by the operator", field=field_name
        )
    return str(url)


def check_headers(headers: Mapping[str, str], oauth: OAuthClient | None) -> dict[str, str]:
    """The headers by their names in lower case. Raises InvalidArgument, which has no value in it."""
    checked = {name.lower().strip(): value for name, value in headers.items()}
    if len(checked) > MOST_HEADERS:
        raise InvalidArgument(f"there are at most {MOST_HEADERS} headers", field="headers")
    for name, value in checked.items():
        if not _TOKEN.fullmatch(name) or name.startswith(_OURS):
            raise InvalidArgument(f"{name[:100]!r} is no header that can be set", field="headers")
        if not value or len(value) > LONGEST or not value.isascii() or not value.isprintable():
            raise InvalidArgument(f"the header {name} must have 1 to {LONGEST} visible characters", field="headers")
    if oauth is not None and "authorization" in checked:
        raise InvalidArgument("with OAuth the header authorization is the gateway's to set", field="headers")
    return checked


def check_tools(patterns: Sequence[str]) -> tuple[str, ...]:
    """All where none are named. Raises InvalidArgument."""
    if len(patterns) > MOST_TOOLS or not all(_PATTERN.fullmatch(one) for one in patterns):
        raise InvalidArgument(
            f"tools are at most {MOST_TOOLS} names, or beginnings of names with a * behind them", field="tools"
        )
    return tuple(patterns) or ("*",)


def check_seconds(seconds: float) -> float:
    """SECONDS where none are given. Raises InvalidArgument."""
    if not 0 <= seconds <= MOST_SECONDS:
        raise InvalidArgument(f"timeout must be over 0 and {MOST_SECONDS:g} seconds at most", field="timeout")
    return seconds or SECONDS
