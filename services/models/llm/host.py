"""The thread that the engine lives on, started and stopped from Triton's."""

import asyncio
import contextlib
import logging
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import Future
from pathlib import Path

import uvloop

from services.models.llm import metrics
from services.models.llm.generation import ReplyStream
from services.models.settings import ModelsSettings

log = logging.getLogger(__name__)

HOST = "127.0.0.1"
GUARD = Path(__file__).with_name("guard.py")
FAREWELL = b"."
# For the errors to reach those who wait for an answer.
LAST_WORDS_SECONDS = 1.0


class HostStartFailed(Exception):
    """The language model could not be started; the message says why."""


class Host:
    """An engine and its service on a loop of their own."""

    def __init__(self, settings: ModelsSettings) -> None:
        self._settings = settings
        self._started: Future[None] = Future()
        self._loop = uvloop.new_event_loop()
        self._stop = asyncio.Event()
        self._guard = -1
        self._thread = threading.Thread(target=self._run, name="llm", daemon=True)

    @classmethod
    def start(cls, settings: ModelsSettings) -> "Host":
        """Returns once text has been generated. Raises HostStartFailed."""
        host = cls(settings)
        began = time.monotonic()
        host._guard = _start_guard(os.getppid())
        host._thread.start()
        try:
            host._started.result(settings.llm_start_seconds)
        except TimeoutError:
            host._dismiss()
            raise HostStartFailed(f"{settings.llm} was not ready within {settings.llm_start_seconds:g} s") from None
        except Exception as error:
            host._dismiss()
            raise HostStartFailed(f"{settings.llm} cannot be served: {error}") from error
        log.warning("%s is ready after %.1f s", settings.llm, time.monotonic() - began)
        return host

    def submit(self, body: bytes, reply: ReplyStream) -> None:
        """Serve a request. From any thread."""
        self._loop.call_soon_threadsafe(self._service.handle, body, reply)

    def stop(self) -> None:
        """End the engine and its processes."""
        self._dismiss()
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(timeout=5)

    def _dismiss(self) -> None:
        """Tell the guard that this process ends as it should."""
        with contextlib.suppress(OSError):
            os.write(self._guard, FAREWELL)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._live())

    async def _live(self) -> None:
        try:
            await self._begin()
        except BaseException as error:  # noqa: BLE001 - told to the thread that waits
            self._started.set_exception(error)
            return
        self._started.set_result(None)
        watch = asyncio.create_task(self._service.watch())
        stop = asyncio.create_task(self._stop.wait())
        await asyncio.wait((watch, stop), return_when=asyncio.FIRST_COMPLETED)
        if not stop.done():
            log.critical("the engine is gone, and Triton with it, to be started anew")
            await asyncio.sleep(LAST_WORDS_SECONDS)
            os._exit(1)
        watch.cancel()
        self._engine.stop()

    async def _begin(self) -> None:
        # Importing the engine takes seconds, of which Triton's thread is to be told too.
        from services.models.llm.admission import AdmissionControl
        from services.models.llm.engine import LlmEngine
        from services.models.llm.service import Service
        from services.models.llm.warmup import warm_up

        settings = self._settings
        metrics.serve(HOST, settings.llm_metrics_port)
        self._engine = LlmEngine(settings, lambda waiting: setattr(admission, "waiting_in_engine", waiting))
        admission = AdmissionControl(self._engine.max_sequences, settings.llm_max_queue, settings.llm_batch_share)
        self._service = Service(self._engine, admission, settings)
        await warm_up(self._service, self._engine)


def _start_guard(triton: int) -> int:
    """Starts the guard; returns the file descriptor whose end, without a farewell, makes it kill Triton."""
    read, write = os.pipe()
    subprocess.Popen([sys.executable, "-I", "-S", GUARD, str(triton)], stdin=read)
    os.close(read)
    return write
