"""The table of MCP servers."""

from sqlalchemy import Column, Double, ForeignKey, String, Table, Text

from gateway.metadata import METADATA

# `spec` is JSON: all that may be shown. `secrets` is sealed: see gateway.mcp.sealing; empty where there are none.
MCP_SERVERS = Table(
    "mcp_servers",
    METADATA,
    Column("tenant", String(64), ForeignKey("tenants.id", ondelete="CASCADE"), primary_key=True),
    Column("name", String(32), primary_key=True),
    Column("spec", Text, nullable=False),
    Column("secrets", Text, nullable=False),
    Column("updated", Double, nullable=False),
)
