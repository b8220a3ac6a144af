"""Whether a service's records can be reached, for its readiness."""

from services.runtime.records.changes import Changes
from services.runtime.records.database import Database

STALE_SECONDS = 1.0
"""So long without an answer to what the change feed asks several times a second, and reading is not possible."""


class RecordsReady:
    """A check that the records can be read and written, from what the service meets anyway. Only where a write has
    failed does the check write itself: nobody else may try again while callers are turned away."""

    def __init__(self, database: Database, changes: Changes) -> None:
        self._database = database
        self._changes = changes

    async def __call__(self) -> bool:
        """Raises RecordsUnavailable."""
        if self._changes.stale_seconds > STALE_SECONDS:
            return False
        if self._database.refuses_writes:
            await self._changes.touch()
        return True
