"""Agents' specs in the records database."""

from services.orchestrator.schema.tables import AGENTS
from services.orchestrator.versions import VersionStore
from services.runtime.records.database import Database

KIND = "agents"
"""Of the change feed."""


class AgentStore(VersionStore):
    def __init__(self, database: Database) -> None:
        super().__init__(database, AGENTS, KIND)
