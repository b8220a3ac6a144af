"""Ingests in the background what was put into vector stores, as whoever put it there.

What waits is in the database, so that a process that dies leaves nothing undone: the next one goes on. Of several
replicas one works at a time, which a lease decides.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import aclosing, suppress
from itertools import groupby

from services.retrieval.errors import DocumentError, TooManyIngests
from services.retrieval.files.model import Owner
from services.retrieval.files.records import FileRecords
from services.retrieval.ingest import media
from services.retrieval.ingest.messages import (
    DocumentChunk,
    DocumentHead,
    DocumentOutcome,
    End,
    Message,
    Open,
    Result,
)
from services.retrieval.ingest.service import Ingestion
from services.retrieval.ingest.writer import CollectionWriter
from services.retrieval.model import Caller, CollectionKey, Groups
from services.retrieval.vector_stores.model import AttachedFile, FileStatus, metadata_of
from services.retrieval.vector_stores.records import StoreRecords
from services.runtime.errors import CollectionNotFound, DomainError
from services.runtime.records.lease import Lease

log = logging.getLogger(__name__)

LEASE_SECONDS = 15.0
RENEW_SECONDS = 4.0
LOOK_SECONDS = 2.0
AT_ONCE = 32
STREAMS = 4
MOST_ATTEMPTS = 20
LONGEST_PAUSE = 60.0
FILE_GONE = "FILE_NOT_FOUND"

_Group = tuple[str, str, Groups]


class FileIngestion:
    """Runs from `open` to `aclose`."""

    def __init__(
        self, records: StoreRecords, files: FileRecords, ingestion: Ingestion, writer: CollectionWriter, lease: Lease
    ) -> None:
        self._records = records
        self._files = files
        self._ingestion = ingestion
        self._writer = writer
        self._lease = lease
        self._held = False
        self._wake = asyncio.Event()
        self._tasks: Sequence[asyncio.Task[None]] = ()

    async def open(self) -> None:
        self._tasks = [asyncio.create_task(self._renew()), asyncio.create_task(self._run())]

    async def aclose(self) -> None:
        """Stop; what is under way is taken up again at the next start."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._held:
            with suppress(DomainError):
                await self._lease.leave()

    def wake(self) -> None:
        """Something waits to be ingested."""
        self._wake.set()

    async def _renew(self) -> None:
        while True:
            before = self._held
            try:
                self._held = await self._lease.hold()
                if self._held and not before:
                    await self._files.delete_abandoned()
                    self._wake.set()
            except DomainError as error:
                self._held = False
                log.warning("files cannot be ingested in the background", extra={"reason": error.reason})
            await asyncio.sleep(RENEW_SECONDS)

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            worked = False
            if self._held:
                try:
                    worked = await self._round()
                except DomainError as error:
                    log.warning("files wait to be ingested", extra={"reason": error.reason})
                except Exception:
                    log.exception("files could not be ingested")
            if not worked:
                with suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_SECONDS):
                        await self._wake.wait()

    async def _round(self) -> bool:
        """Ingest what is due, so many files at once; whether there were any. Raises what a stream fails with when the
        others have ended, so that the next round takes up nothing that is still being ingested."""
        due = await self._records.due(AT_ONCE)
        groups: list[Sequence[AttachedFile]] = [
            list(files) for _, files in groupby(sorted(due, key=lambda file: repr(_group(file))), key=_group)
        ]
        for start in range(0, len(groups), STREAMS):
            streams = (self._ingest(files) for files in groups[start : start + STREAMS])
            for ended in await asyncio.gather(*streams, return_exceptions=True):
                if isinstance(ended, BaseException):
                    raise ended
        return bool(due)

    async def _ingest(self, files: Sequence[AttachedFile]) -> None:
        """Files of one caller in one vector store, in one stream."""
        tenant, store, groups = _group(files[0])
        left = {file.file: file for file in files}
        events = self._ingestion.run(Caller(tenant, groups), self._messages(store, left))
        try:
            async with aclosing(events):
                async for event in events:
                    if isinstance(event, Result) and event.document_id in left:
                        await self._settle(left.pop(event.document_id), event)
        except CollectionNotFound:
            await self._records.forget(CollectionKey(tenant, store))
            return
        except TooManyIngests:
            log.info("files wait: too many ingestions are under way", extra={"files": len(left)})
        except DomainError as error:
            log.warning("files wait to be ingested", extra={"reason": error.reason, "files": len(left)})
        await self._again(left.values())

    async def _messages(self, store: str, left: dict[str, AttachedFile]) -> AsyncIterator[Message]:
        yield Open(store)
        for file in tuple(left.values()):
            if not await self._files.find(Owner(file.tenant, "", others=True), [file.file]):
                await self._fail(left.pop(file.file), FILE_GONE, "the file was deleted before it was ingested")
                continue
            try:
                media_type = media.media_type_of("", file.filename)
            except DocumentError as error:
                await self._fail(left.pop(file.file), error.reason, error.message)
                continue
            yield DocumentHead(
                id=file.file,
                uri=file.filename,
                media_type=media_type,
                metadata=metadata_of(file.attributes),
                access_groups=file.access_groups,
                name=file.filename,
            )
            async for part in self._files.parts(file.file):
                yield DocumentChunk(part)
            yield End()

    async def _settle(self, file: AttachedFile, result: Result) -> None:
        if result.outcome is DocumentOutcome.FAILED:
            await self._fail(file, result.error_reason, result.error_message)
        elif not await self._records.settle(file, FileStatus.COMPLETED):
            await self._withdraw(file, result.outcome is DocumentOutcome.CREATED)

    async def _withdraw(self, file: AttachedFile, new: bool) -> None:
        """Delete the document of a file that was deleted while it was ingested, and a new one of a file that was
        taken back, unless it was put there anew."""
        key = CollectionKey(file.tenant, file.store)
        now = (await self._records.find(key, [file.file])).get(file.file)
        if now is None or (new and now.status is FileStatus.CANCELLED):
            with suppress(CollectionNotFound):
                await self._writer.delete(key, file.file)

    async def _fail(self, file: AttachedFile, reason: str, message: str) -> None:
        await self._records.settle(file, FileStatus.FAILED, reason, message)

    async def _again(self, files: Iterable[AttachedFile]) -> None:
        for file in files:
            if file.attempts + 1 >= MOST_ATTEMPTS:
                await self._fail(file, "SERVER_ERROR", "it could not be ingested for too long: put it there again")
            else:
                await self._records.postpone([file], min(LONGEST_PAUSE, 2.0**file.attempts))


def _group(file: AttachedFile) -> _Group:
    return file.tenant, file.store, file.caller_groups
