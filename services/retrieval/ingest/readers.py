"""Readers: short texts are read here, everything else in processes that can be killed."""

import asyncio
import signal
import struct
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections import OrderedDict
from collections.abc import Hashable

import orjson

from services.retrieval.errors import DocumentError, DocumentUnreadable, document_error
from services.retrieval.ingest.digest import Digest, digest
from services.retrieval.ingest.ocr import Ocr
from services.retrieval.ingest.split import TextPiece
from services.retrieval.ingest.worker import LENGTHS, READY, frame
from services.runtime.children import DiedAtStart, ended, once_more
from services.runtime.fairness import FairLimit, Owner
from services.runtime.language.encodings import is_utf8
from services.runtime.media_types import MARKDOWN, PDF, PLAIN

AT_ONCE = 16 << 10
# What is no longer is read beside what is.
SHORT = 256 << 10
MIB = 1 << 20
SECONDS, SECONDS_A_MIB = 5.0, 5.0
# A process has its seconds of the processor, and so many times as long to get them where others want it too.
WAIT = 8
LATE_SECONDS, MOST_LATE = 60.0, 10_000
IDLE_SECONDS = 30.0
START_SECONDS = 30.0
SAFE = (PLAIN, MARKDOWN)
# What of Markdown is read by HTML's parser.
_HTML_TABLE = b"<table"


class Readers:
    """Reads documents outside of this process: at most `workers` long ones at once, and beside them a short one.

    Each has some seconds of the processor, and more by its size, `seconds` at most. Tenants take turns; one whose
    document took too long waits behind the others for a while.
    Processes start when they are needed and end after half a minute without work. `interpreter` is the Python that
    runs them. With `ocr` a PDF has its seconds on top, and is never taken for a short document.
    """

    def __init__(
        self,
        workers: int,
        seconds: float,
        memory_bytes: int,
        interpreter: str = sys.executable,
        ocr: Ocr | None = None,
    ) -> None:
        self._long = FairLimit(workers, ranks=2)
        self._short = FairLimit(1, ranks=2)
        self._late: OrderedDict[Hashable, float] = OrderedDict()
        self._seconds = seconds
        self._memory = memory_bytes
        self._interpreter = interpreter
        self._ocr = ocr
        self._idle: list[_Worker] = []
        self._all: set[_Worker] = set()

    async def read(self, media_type: str, data: bytes, max_chars: int, owner: Owner = ("",)) -> Digest:
        """The document's text and passages. Raises a DocumentError where it has none that can be read."""
        if media_type in SAFE and len(data) <= AT_ONCE and is_utf8(data) and _HTML_TABLE not in data.lower():
            return digest(media_type, data, max_chars)
        ocr = self._ocr if media_type == PDF else None
        places = self._short if len(data) <= SHORT and ocr is None else self._long
        seconds = min(self._seconds, SECONDS + SECONDS_A_MIB * len(data) / MIB)
        wait = WAIT * seconds + (ocr.seconds if ocr else 0)
        async with places.place(owner, rank=self._rank(owner[0])):
            worker = self._idle.pop() if self._idle else await self._start()
            try:
                async with asyncio.timeout(wait):
                    found = await worker.read(media_type, data, max_chars, seconds, wait)
            except TimeoutError as error:
                self._was_late(owner[0])
                await self._drop(worker)
                raise DocumentUnreadable(f"reading it took longer than {wait:g} seconds") from error
            except (EOFError, OSError, ValueError, struct.error) as error:
                await self._drop(worker)
                if worker.ran_out_of_time:
                    self._was_late(owner[0])
                    raise DocumentUnreadable(
                        f"reading it took longer than {seconds:g} seconds of processor time"
                    ) from error
                raise DocumentUnreadable("it broke the process that read it") from error
            except asyncio.CancelledError:
                await self._drop(worker)
                raise
            except DocumentError:
                self._rest(worker)
                raise
            self._rest(worker)
            return found

    def _rank(self, tenant: Hashable) -> int:
        """1 for one that waits behind the others."""
        return int(self._late.get(tenant, 0.0) > time.monotonic())

    def _was_late(self, tenant: Hashable) -> None:
        self._late[tenant] = time.monotonic() + LATE_SECONDS
        self._late.move_to_end(tenant)
        if len(self._late) > MOST_LATE:
            self._late.popitem(last=False)

    async def aclose(self) -> None:
        """End all processes."""
        await asyncio.gather(*(self._drop(worker) for worker in tuple(self._all)))

    async def _start(self) -> "_Worker":
        """A process that is there. Raises DocumentUnreadable, for its first document, where none begins."""
        try:
            return await once_more(self._begin)
        except DiedAtStart as error:
            raise DocumentUnreadable(str(error)) from error

    async def _begin(self) -> "_Worker":
        worker = _Worker(
            await asyncio.create_subprocess_exec(
                self._interpreter,
                "-m",
                "services.retrieval.ingest.worker",
                str(self._memory),
                *((self._ocr.languages, str(self._ocr.seconds)) if self._ocr else ()),
                stdin=PIPE,
                stdout=PIPE,
            )
        )
        self._all.add(worker)
        try:
            await worker.ready()
        except BaseException:
            await self._drop(worker)
            raise
        return worker

    def _rest(self, worker: "_Worker") -> None:
        self._idle.append(worker)
        worker.retire = asyncio.get_running_loop().call_later(IDLE_SECONDS, self._retire, worker)

    def _retire(self, worker: "_Worker") -> None:
        if worker in self._idle:
            self._idle.remove(worker)
            self._all.discard(worker)
            worker.close()

    async def _drop(self, worker: "_Worker") -> None:
        if worker in self._idle:
            self._idle.remove(worker)
        self._all.discard(worker)
        await worker.kill()


class _Worker:
    """One process."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self.retire: asyncio.TimerHandle | None = None

    async def ready(self) -> None:
        """Returns once the process has begun. Raises DiedAtStart."""
        source = self._process.stdout
        try:
            async with asyncio.timeout(START_SECONDS):
                if source and await source.read(len(READY)) == READY:
                    return
                code = await self._process.wait()
        except TimeoutError:
            code = None
        raise DiedAtStart("the process that reads documents", code)

    async def read(self, media_type: str, data: bytes, max_chars: int, seconds: float, wait: float) -> Digest:
        """Raises EOFError, OSError where the process ends instead of answering."""
        self._wake()
        source, sink = self._process.stdout, self._process.stdin
        if source is None or sink is None:
            raise EOFError
        head = {"media_type": media_type, "max_chars": max_chars, "seconds": seconds, "wait": wait}
        sink.write(frame(head, data))
        await sink.drain()
        head_length, body_length = LENGTHS.unpack(await source.readexactly(LENGTHS.size))
        answer = orjson.loads(await source.readexactly(head_length))
        body = await source.readexactly(body_length)
        if "reason" in answer:
            raise document_error(answer["reason"], answer["message"])
        pieces = [
            TextPiece(tuple(span), tuple(headings), tuple(map(tuple, sentences)), tuple(leads), page, kind)
            for span, headings, sentences, leads, page, kind in answer["pieces"]
        ]
        return Digest(answer["title"], body.decode(), pieces, answer["labels"], answer["encoding"], answer["warnings"])

    @property
    def ran_out_of_time(self) -> bool:
        """Whether the process has ended because of the processor time that it took."""
        return self._process.returncode == -signal.SIGPROF

    def close(self) -> None:
        """Let the process end by itself."""
        self._wake()
        if self._process.stdin:
            self._process.stdin.close()

    async def kill(self) -> None:
        """End the process now."""
        self._wake()
        if self._process.returncode is None:
            self._process.kill()
        await ended(self._process)

    def _wake(self) -> None:
        if self.retire:
            self.retire.cancel()
            self.retire = None
