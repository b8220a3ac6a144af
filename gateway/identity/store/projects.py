"""Projects."""

import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Row, delete, select, update

from gateway.identity.errors import NotFound
from gateway.identity.journal import changed
from gateway.identity.nouns import Project
from gateway.identity.store.shared import added, creating, known_tenant, label, one, page_size
from gateway.identity.tables import API_KEYS, BINDINGS, PROJECTS
from gateway.metadata import new_id
from services.runtime.records.database import Database


class ProjectStore:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, tenant: str, name: str) -> Project:
        made = Project(new_id("prj"), tenant, label(name, "name", least=1), time.time())
        async with creating(self._database, "project", name) as connection:
            await known_tenant(connection, tenant)
            await added(connection, PROJECTS, asdict(made))
        return made

    async def get(self, tenant: str, project: str) -> Project:
        query = select(PROJECTS).where(PROJECTS.c.tenant == tenant, PROJECTS.c.id == project)
        async with self._database.read() as connection:
            return _project(await one(connection, query, "project", project))

    async def list(self, tenant: str, after: str = "", size: int = 100) -> Sequence[Project]:
        """The tenant's projects whose ids come after `after`, in that order."""
        query = select(PROJECTS).where(PROJECTS.c.tenant == tenant, PROJECTS.c.id > after)
        async with self._database.read() as connection:
            rows = await connection.execute(query.order_by(PROJECTS.c.id).limit(page_size(size)))
            return [_project(row) for row in rows]

    async def delete(self, tenant: str, project: str) -> None:
        """Delete the project with its bindings. Its keys are revoked."""
        async with self._database.write() as connection:
            await changed(connection, "project", project)
            mine = (PROJECTS.c.tenant == tenant) & (PROJECTS.c.id == project)
            if not (await connection.execute(delete(PROJECTS).where(mine))).rowcount:
                raise NotFound("project", project)
            await connection.execute(delete(BINDINGS).where(BINDINGS.c.project == project))
            live = (API_KEYS.c.project == project) & API_KEYS.c.revoked.is_(None)
            keys = (await connection.scalars(select(API_KEYS.c.id).where(live))).all()
            await connection.execute(update(API_KEYS).where(live).values(revoked=time.time()))
            await changed(connection, "key", *keys)


def _project(row: Row[Any]) -> Project:
    return Project(row.id, row.tenant, row.name, row.created)
