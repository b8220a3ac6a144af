"""The rounds of what ingests files in the background, on its records."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import pytest

from services.retrieval.files.records import FileRecords
from services.retrieval.ingest.messages import DocumentOutcome, Event, Message, Result
from services.retrieval.ingest.service import Ingestion
from services.retrieval.ingest.writer import CollectionWriter
from services.retrieval.model import Caller, CollectionKey
from services.retrieval.schema.schema import SCHEMA
from services.retrieval.schema.tables import LEASES
from services.retrieval.vector_stores.model import AttachedFile, FileStatus
from services.retrieval.vector_stores.records import StoreRecords
from services.retrieval.vector_stores.worker import FileIngestion
from services.runtime.records.assembly import open_database
from services.runtime.records.database import Database
from services.runtime.records.errors import RecordsUnavailable
from services.runtime.records.lease import Lease
from tests.fakes.serving import until

pytestmark = pytest.mark.integration

KEY = CollectionKey("acme", "vs_1")


class GoneOnce(StoreRecords):
    """Cannot put off the first file that is to wait."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.failed = asyncio.Event()
        self.rounds = 0

    async def due(self, limit: int) -> list[AttachedFile]:
        self.rounds += self.failed.is_set()
        return list(await super().due(limit))

    async def postpone(self, files: Iterable[AttachedFile], seconds: float) -> None:
        if not self.failed.is_set():
            self.failed.set()
            raise RecordsUnavailable
        await super().postpone(files, seconds)


class ByGroup(Ingestion):
    """Ingests the file that is called as its caller's only group: "slow" once it is let go, "quick" at the second
    attempt."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.running = 0
        self.most_running = 0
        self.attempted = False

    async def run(self, caller: Caller, messages: AsyncIterator[Message]) -> AsyncGenerator[Event, None]:
        assert caller.groups is not None
        (name,) = caller.groups
        if name == "slow":
            self.running += 1
            self.most_running = max(self.most_running, self.running)
            await self.go.wait()
            self.running -= 1
        elif not self.attempted:
            self.attempted = True
            raise RecordsUnavailable
        yield Result(name, DocumentOutcome.CREATED, 1)


class NoWriter(CollectionWriter):
    """Is not asked for anything."""

    def __init__(self) -> None:
        pass


async def test_no_round_begins_while_a_stream_of_the_last_one_goes_on(tmp_path: Path) -> None:
    async with AsyncExitStack() as resources:
        database = await open_database(f"sqlite:///{tmp_path / 'records.db'}", SCHEMA, 5.0, resources)
        records, ingestion = GoneOnce(database), ByGroup()
        files = [AttachedFile("acme", "vs_1", name, "a.txt", 1, {}, (), (name,), 1.0) for name in ("quick", "slow")]
        await records.attach(files, None)
        lease = Lease(database, "file ingestion", "me", 15.0, table=LEASES)
        background = FileIngestion(records, FileRecords(database), ingestion, NoWriter(), lease)
        await background.open()
        resources.push_async_callback(background.aclose)
        await records.failed.wait()
        background.wake()
        with suppress(TimeoutError):
            await until(lambda: records.rounds, 0.5)
        assert (records.rounds, ingestion.most_running) == (0, 1)
        ingestion.go.set()

        async def completed() -> bool:
            background.wake()
            found = await records.find(KEY, ["quick", "slow"])
            return all(file.status is FileStatus.COMPLETED for file in found.values())

        await until(completed)


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
        background = FileIngestion(records, FileRecords(database), ByGroup(), NoWriter(), lease)
        await background.open()
        await records.looked.wait()
        await asyncio.sleep(0)
        background.wake()
        async with asyncio.timeout(10):
            await background.aclose()
