"""What ingests files in the background, on its records."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from services.retrieval.files.records import FileRecords
from services.retrieval.ingest.service import Ingestion
from services.retrieval.ingest.writer import CollectionWriter
from services.retrieval.schema.schema import SCHEMA
from services.retrieval.schema.tables import LEASES
from services.retrieval.vector_stores.model import AttachedFile
from services.retrieval.vector_stores.records import StoreRecords
from services.retrieval.vector_stores.worker import FileIngestion
from services.runtime.records.assembly import open_database
from services.runtime.records.lease import Lease

pytestmark = pytest.mark.integration


class NoIngestion(Ingestion):
    """Is not asked for anything."""

    def __init__(self) -> None:
        pass


class NoWriter(CollectionWriter):
    """Is not asked for anything."""

    def __init__(self) -> None:
        pass


class Empty(StoreRecords):
    """Has nothing that waits."""

    def __init__(self) -> None:
        self.looked = asyncio.Event()

    async def due(self, limit: int) -> list[AttachedFile]:
        self.looked.set()
        return []


async def test_it_ends_though_it_is_woken_in_the_same_moment(tmp_path: Path) -> None:
    """What waits with `asyncio.wait_for` forgets that it was cancelled, and goes on for ever."""
    async with AsyncExitStack() as resources:
        database = await open_database(f"sqlite:///{tmp_path / 'records.db'}", SCHEMA, 5.0, resources)
        records, lease = Empty(), Lease(database, "file ingestion", "me", 15.0, table=LEASES)
        background = FileIngestion(records, FileRecords(database), NoIngestion(), NoWriter(), lease)
        await background.open()
        await records.looked.wait()
        await asyncio.sleep(0)
        background.wake()
        async with asyncio.timeout(10):
            await background.aclose()
