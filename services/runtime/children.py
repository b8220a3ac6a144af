"""Child processes: those that die before they begin are started once more, then named; those that were killed are
waited for to their end."""

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

CHUNK = 1 << 16
T = TypeVar("T")
log = logging.getLogger(__name__)


class DiedAtStart(Exception):
    """A child ended before it did anything; the message says which, and how."""

    def __init__(self, program: str, code: int | None) -> None:
        super().__init__(f"{program} did not begin" + (f": {ending(code)}" if code is not None else ""))


def ending(code: int) -> str:
    """How a process ended, from its exit code; a negative one is the signal that ended it."""
    if code >= 0:
        return f"exited with code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"


async def once_more(start: Callable[[], Awaitable[T]]) -> T:
    """What `start` gives, on a second attempt where the child of the first died at its start. Raises DiedAtStart."""
    try:
        return await start()
    except DiedAtStart as error:
        log.warning("a child is started once more: %s", error)
        return await start()


async def ended(process: asyncio.subprocess.Process) -> int:
    """The exit code of a process that ends. What it wrote and nobody read is thrown away: asyncio tells of an end only
    once its pipes have ended too, and a full one, from which nobody reads, does not."""
    streams = [stream for stream in (process.stdout, process.stderr) if stream is not None]
    code, *_ = await asyncio.gather(process.wait(), *(_drain(stream) for stream in streams))
    return int(code or 0)


async def _drain(stream: asyncio.StreamReader) -> None:
    with suppress(RuntimeError):  # somebody else reads it
        while await stream.read(CHUNK):
            pass
