"""What an ingestion deletes at its end, and how it keeps others from doing so meanwhile."""

import uuid
from collections.abc import Collection
from contextlib import AbstractAsyncContextManager
from datetime import datetime

from services.retrieval.ingest import lease
from services.retrieval.ingest.lease import leased
from services.retrieval.ingest.writer import CollectionWriter
from services.retrieval.model import CollectionKey
from services.retrieval.store.base import VectorStore


class Deletion:
    """`doomed`: when each document that may be deleted was written last, by id. One written since is left alone."""

    def __init__(self, store: VectorStore, writer: CollectionWriter, key: CollectionKey) -> None:
        self._store = store
        self._writer = writer
        self._key = key
        self._holder = uuid.uuid4().hex
        self.doomed: dict[str, datetime] = {}

    def alone(self) -> AbstractAsyncContextManager[None]:
        """No other ingestion of the collection deletes meanwhile. Raises IngestUnderWay."""
        return leased(self._store, self._key, self._holder)

    async def carry_out(self, named: Collection[str]) -> int:
        """Delete what is doomed but for what was named; how many. Raises IngestUnderWay where the lease ran out."""
        if not self.doomed:
            return 0
        await self._store.renew(self._key, self._holder, lease.LEASE_SECONDS)
        deleted = 0
        for document_id, update_time in self.doomed.items():
            if document_id not in named:
                deleted += await self._writer.delete_unchanged(self._key, document_id, update_time)
        return deleted
