"""Prompts in the records database."""

from services.orchestrator.schema.tables import PROMPTS
from services.orchestrator.versions import VersionStore
from services.runtime.records.database import Database

KIND = "prompts"
"""Of the change feed."""


class PromptStore(VersionStore):
    def __init__(self, database: Database) -> None:
        super().__init__(database, PROMPTS, KIND)
