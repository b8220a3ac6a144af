"""Who copies a folder does it while nobody writes, however many writers there are, and whoever dies."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from services.runtime.copy_lock import begin_writing, copying

COPIES = """
import sys, time
from pathlib import Path
from services.runtime.copy_lock import copying
with copying(Path(sys.argv[1])):
    print("copying", flush=True)
    time.sleep(600)
"""


def left_in(folder: Path) -> list[Path]:
    return list(folder.iterdir())


async def test_a_copy_waits_for_writers_and_writers_for_the_copy(tmp_path: Path) -> None:
    writers = [await begin_writing(tmp_path) for _ in range(3)]
    begun, end = threading.Event(), threading.Event()

    def copy() -> None:
        with copying(tmp_path):
            begun.set()
            end.wait()

    copied = asyncio.create_task(asyncio.to_thread(copy))
    late = asyncio.create_task(begin_writing(tmp_path)) if await _announced(tmp_path) else None
    assert late is not None
    for writer in writers:
        assert not begun.is_set()
        os.close(writer)
    assert await asyncio.to_thread(begun.wait, 60)
    assert not late.done()
    end.set()
    await copied
    os.close(await late)
    assert not left_in(tmp_path)


async def _announced(folder: Path) -> bool:
    async with asyncio.timeout(60):
        while not left_in(folder):
            await asyncio.sleep(0.005)
    return True


async def test_writers_that_never_cease_do_not_keep_a_copy_waiting(tmp_path: Path) -> None:
    stop, inside = asyncio.Event(), 0

    async def write() -> None:
        nonlocal inside
        while not stop.is_set():
            held = await begin_writing(tmp_path)
            inside += 1
            await asyncio.sleep(0.002)
            inside -= 1
            os.close(held)

    def copy() -> int:
        with copying(tmp_path):
            return inside

    writers = [asyncio.create_task(write()) for _ in range(8)]
    await asyncio.sleep(0)
    for _ in range(5):
        async with asyncio.timeout(60):
            assert await asyncio.to_thread(copy) == 0
    stop.set()
    await asyncio.gather(*writers)


async def test_a_copy_that_was_killed_keeps_nobody_waiting(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", COPIES, str(tmp_path), stdout=subprocess.PIPE
    )  # fmt: skip
    assert process.stdout is not None
    await process.stdout.readline()
    writer = asyncio.create_task(begin_writing(tmp_path))
    await asyncio.sleep(0.1)
    assert not writer.done()
    process.send_signal(signal.SIGKILL)
    await process.wait()
    async with asyncio.timeout(60):
        os.close(await writer)
    with copying(tmp_path):
        pass
    assert not left_in(tmp_path)


async def test_a_folder_that_is_not_there_is_neither_written_to_nor_copied(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await begin_writing(tmp_path / "gone")
    with pytest.raises(FileNotFoundError), copying(tmp_path / "gone"):
        pass
