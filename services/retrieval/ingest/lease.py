"""A collection's lease, or that of one generation of its index, held for as long as some work takes."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from services.retrieval.model import Index
from services.retrieval.store.base import Target, VectorStore
from services.runtime.errors import DomainError

log = logging.getLogger(__name__)

LEASE_SECONDS = 10.0
RENEW_SECONDS = 3.0


@asynccontextmanager
async def leased(store: VectorStore, key: Target, holder: str) -> AsyncIterator[None]:
    """Nobody else has the lease meanwhile. Raises IngestUnderWay."""
    await store.lease(key, holder, LEASE_SECONDS)
    renewing = asyncio.create_task(_renew(store, key, holder))
    try:
        yield
    finally:
        renewing.cancel()
        await asyncio.gather(renewing, return_exceptions=True)
        with suppress(DomainError):
            await asyncio.shield(store.release(key, holder))


async def _renew(store: VectorStore, key: Target, holder: str) -> None:
    while True:
        await asyncio.sleep(RENEW_SECONDS)
        try:
            await store.renew(key, holder, LEASE_SECONDS)
        except DomainError as error:
            collection = key.key.collection if isinstance(key, Index) else key.collection
            log.warning(
                "the lease of a collection could not be renewed",
                extra={"collection": collection, "reason": error.reason},
            )
