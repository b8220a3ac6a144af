"""The tenants' MCP servers, wired from the settings."""

from contextlib import AsyncExitStack

from gateway.mcp.sealing import SecretSeal
from gateway.mcp.servers import McpServers
from gateway.mcp.store import KIND, McpServerStore
from gateway.settings import GatewaySettings
from services.runtime.hosts import HostRule
from services.runtime.records.assembly import Records


def open_servers(
    settings: GatewaySettings, records: Records, seal: SecretSeal, resources: AsyncExitStack
) -> McpServers:
    """Closed with `resources`; before `records.changes` is opened. Raises ValueError for what is no host."""
    hosts, private = (
        [HostRule.parse(one) for one in given] for given in (settings.mcp_hosts, settings.mcp_private_hosts)
    )
    servers = McpServers(McpServerStore(records.database), seal, hosts, private)
    records.changes.follow(KIND, servers.reload)
    resources.push_async_callback(servers.aclose)
    return servers
