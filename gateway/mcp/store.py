"""MCP servers in the database."""

import time
from dataclasses import asdict

import orjson
from sqlalchemy import Row, delete, func, select

from gateway.mcp.model import McpServerNotFound, McpServerSpec, OAuthClient, StoredServer, TooManyMcpServers
from gateway.mcp.tables import MCP_SERVERS
from services.runtime.records.changes import bump
from services.runtime.records.database import Database
from services.runtime.records.upsert import upsert

KIND = "mcp_servers"
MOST, MOST_OF_A_TENANT = 10_000, 50


class McpServerStore:
    """Everything raises RecordsUnavailable where the database is gone. Specs are checked by whoever puts them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, tenant: str, name: str, spec: McpServerSpec, secrets: str) -> StoredServer:
        """Set the server, in place of what there was. Raises TooManyMcpServers."""
        stored = StoredServer(tenant, name, spec, secrets, time.time())
        values = {"spec": orjson.dumps(asdict(spec)).decode(), "secrets": secrets, "updated": stored.updated}
        statement = upsert(MCP_SERVERS).values(tenant=tenant, name=name, **values)
        count = select(func.count()).select_from(MCP_SERVERS)
        async with self._database.write() as connection:
            await connection.execute(statement.on_conflict_do_update(index_elements=["tenant", "name"], set_=values))
            if (await connection.scalar(count.where(MCP_SERVERS.c.tenant == tenant)) or 0) > MOST_OF_A_TENANT:
                raise TooManyMcpServers(MOST_OF_A_TENANT)
            if (await connection.scalar(count) or 0) > MOST:
                raise TooManyMcpServers(MOST)
            await bump(connection, KIND)
        return stored

    async def delete(self, tenant: str, name: str) -> None:
        """Raises McpServerNotFound."""
        mine = (MCP_SERVERS.c.tenant == tenant) & (MCP_SERVERS.c.name == name)
        async with self._database.write() as connection:
            if not (await connection.execute(delete(MCP_SERVERS).where(mine))).rowcount:
                raise McpServerNotFound(name)
            await bump(connection, KIND)

    async def get(self, tenant: str, name: str) -> StoredServer:
        """Raises McpServerNotFound."""
        query = select(MCP_SERVERS).where(MCP_SERVERS.c.tenant == tenant, MCP_SERVERS.c.name == name)
        async with self._database.read() as connection:
            row = (await connection.execute(query)).one_or_none()
        if row is None:
            raise McpServerNotFound(name)
        return _stored(row)

    async def all(self, tenant: str | None = None) -> list[StoredServer]:
        """Those of a tenant, or all there are; by tenant and name."""
        query = select(MCP_SERVERS).order_by(MCP_SERVERS.c.tenant, MCP_SERVERS.c.name)
        if tenant is not None:
            query = query.where(MCP_SERVERS.c.tenant == tenant)
        async with self._database.read() as connection:
            return [_stored(row) for row in await connection.execute(query)]


def _stored(row: Row[tuple[str, str, str, str, float]]) -> StoredServer:
    spec = orjson.loads(row.spec)
    oauth = OAuthClient(**spec.pop("oauth")) if spec.get("oauth") else None
    made = McpServerSpec(spec["url"], tuple(spec["headers"]), oauth, tuple(spec["tools"]), spec["seconds"])
    return StoredServer(row.tenant, row.name, made, row.secrets, row.updated)
