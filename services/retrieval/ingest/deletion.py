"""What an ingestion deletes at its end, and how it keeps others from doing so meanwhile."""

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager, suppress
from datetime import datetime

from services.retrieval.ingest.writer import CollectionWriter
from services.retrieval.model import CollectionKey, Groups
from services.retrieval.store.base import VectorStore
from services.runtime.errors import DomainError

log = logging.getLogger(__name__)

LEASE_SECONDS = 10.0
RENEW_SECONDS = 3.0


class Deletion:
    """`doomed`: when each document that may be deleted was written last, by id. One written since is left alone,
    and so is one that a caller of these groups may not read."""

    def __init__(self, store: VectorStore, writer: CollectionWriter, key: CollectionKey, groups: Groups) -> None:
        self._store = store
        self._writer = writer
        self._key = key
        self._groups = groups
        self._holder = uuid.uuid4().hex
        self.doomed: dict[str, datetime] = {}

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """No other ingestion of the collection deletes meanwhile. Raises IngestUnderWay."""
        await self._store.lease(self._key, self._holder, LEASE_SECONDS)
        renewing = asyncio.create_task(self._renew())
        try:
            yield
        finally:
            renewing.cancel()
            await asyncio.gather(renewing, return_exceptions=True)
            with suppress(DomainError):
                await asyncio.shield(self._store.release(self._key, self._holder))

    async def carry_out(self, named: Collection[str]) -> int:
        """Delete what is doomed but for what was named; how many. Raises IngestUnderWay where the lease ran out."""
        if not self.doomed:
            return 0
        await self._store.renew(self._key, self._holder, LEASE_SECONDS)
        deleted = 0
        for document_id, update_time in self.doomed.items():
            if document_id not in named:
                deleted += await self._writer.delete_unchanged(self._key, document_id, update_time, self._groups)
        return deleted

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            try:
                await self._store.renew(self._key, self._holder, LEASE_SECONDS)
            except DomainError as error:
                why = {"collection": self._key.collection, "reason": error.reason}
                log.warning("the lease of an ingestion could not be renewed", extra=why)
