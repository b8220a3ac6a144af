"""Uploading, reading and deleting files."""

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from services.retrieval.errors import FileEmpty, FileNotFound, FilesFull, FileTooLarge
from services.retrieval.files.model import (
    PURPOSES,
    Owner,
    PageOf,
    StoredFile,
    UploadChunk,
    UploadHead,
    UploadMessage,
    UploadPurpose,
)
from services.retrieval.files.records import FileRecords
from services.runtime.errors import DomainError, InvalidArgument

PART = 1 << 19
MAX_CHUNK = 1 << 20
MAX_FILENAME = 255
LONGEST_SUBJECT = 256


@dataclass(frozen=True, slots=True)
class FileLimits:
    """Bytes of one file, and of all files of a tenant."""

    file_bytes: int
    tenant_bytes: int


class Files:
    """Serves files. `check_space` raises StoreFull where there is no room for so many more bytes."""

    def __init__(
        self, records: FileRecords, limits: FileLimits, check_space: Callable[[int], None] = lambda size: None
    ) -> None:
        self._records = records
        self._limits = limits
        self._check_space = check_space

    async def upload(self, owner: Owner, messages: AsyncIterator[UploadMessage]) -> StoredFile:
        """The file, durable. Raises InvalidArgument where the protocol is broken, FileTooLarge, FileEmpty,
        FilesFull, StoreFull."""
        head = await anext(messages, None)
        if not isinstance(head, UploadHead):
            raise InvalidArgument("the first message of an upload is `head`")
        if not 1 <= len(head.filename) <= MAX_FILENAME or not head.filename.isprintable():
            raise InvalidArgument(f"a filename has 1 to {MAX_FILENAME} printable characters", field="filename")
        file = StoredFile(
            f"file-{uuid.uuid4().hex}", owner.tenant, owner.subject[:LONGEST_SUBJECT], head.filename, "", 0, time.time()
        )
        self._check_space(0)
        left = self._limits.tenant_bytes - await self._records.used(owner.tenant)
        await self._records.begin(file)
        try:
            whole = await self._receive(file, messages, left)
            await self._records.finish(whole)
        except BaseException:
            with suppress(DomainError):
                await asyncio.shield(self._records.delete(file.tenant, file.id))
            raise
        return whole

    async def _receive(self, file: StoredFile, messages: AsyncIterator[UploadMessage], left: int) -> StoredFile:
        waiting, number, size, purpose = bytearray(), 0, 0, ""
        async for message in messages:
            match message:
                case UploadChunk(data):
                    size += len(data)
                    self._check(len(data), size, left)
                    waiting += data
                case UploadPurpose():
                    purpose = message.purpose
                case _:
                    raise InvalidArgument("an upload has one `head`")
            while len(waiting) >= PART:
                self._check_space(PART)
                await self._records.append(file.id, number, bytes(waiting[:PART]))
                number += 1
                del waiting[:PART]
        if not size:
            raise FileEmpty
        if purpose not in PURPOSES:
            raise InvalidArgument(f"purpose must be {' or '.join(PURPOSES)}", field="purpose")
        if waiting:
            await self._records.append(file.id, number, bytes(waiting))
        return replace(file, purpose=purpose, size=size)

    def _check(self, chunk: int, size: int, left: int) -> None:
        if chunk > MAX_CHUNK:
            raise InvalidArgument(f"a chunk has at most {MAX_CHUNK} bytes")
        if size > self._limits.file_bytes:
            raise FileTooLarge(self._limits.file_bytes)
        if size > left:
            raise FilesFull(self._limits.tenant_bytes)

    async def get(self, owner: Owner, file_id: str) -> StoredFile:
        """Raises FileNotFound, also for another's."""
        found = await self._records.find(owner, [file_id])
        if file_id not in found:
            raise FileNotFound(file_id)
        return found[file_id]

    async def list(
        self, owner: Owner, page: PageOf, purpose: str = "", subject: str = ""
    ) -> tuple[Sequence[StoredFile], bool]:
        """A page of those for that purpose, or all, that the subject uploaded, or anybody; and whether there are more
        behind it."""
        found = await self._records.list(owner, page, purpose=purpose, subject=subject[:LONGEST_SUBJECT])
        return found[: page.size], len(found) > page.size

    async def read(self, owner: Owner, file_id: str) -> AsyncGenerator[bytes, None]:
        """The file's bytes. Raises FileNotFound."""
        await self.get(owner, file_id)
        async for part in self._records.parts(file_id):
            yield part

    async def delete(self, owner: Owner, file_id: str) -> None:
        """Raises FileNotFound."""
        await self.get(owner, file_id)
        await self._records.delete(owner.tenant, file_id)
