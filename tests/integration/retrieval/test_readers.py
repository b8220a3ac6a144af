"""The processes that read documents: started once more where they die before they begin."""

import asyncio
import sys
from pathlib import Path

import pytest

from services.retrieval.errors import DocumentUnreadable
from services.retrieval.ingest.readers import SHORT, Readers
from services.runtime import media_types

PAGE = b"<h1>Rivers</h1><p>The Danube flows through ten countries.</p>"


def frail(folder: Path, deaths: int) -> Path:
    """A Python that is killed so many times before it begins."""
    python, count = folder / "python", folder / "count"
    python.write_text(
        f"#!/bin/sh\necho x >> {count}\n[ $(wc -l < {count}) -gt {deaths} ] || kill -SEGV $$\n"
        f'exec {sys.executable} "$@"\n'
    )
    python.chmod(0o755)
    return python


@pytest.mark.parametrize("deaths", [0, 1, 2])
async def test_a_process_that_dies_before_it_begins_is_started_once_more(tmp_path: Path, deaths: int) -> None:
    readers = Readers(1, 20, 1 << 30, str(frail(tmp_path, deaths)))
    try:
        if deaths < 2:
            assert "Danube" in (await readers.read(media_types.HTML, PAGE, 1200)).text
        else:
            with pytest.raises(DocumentUnreadable, match="documents did not begin: killed by SIGSEGV"):
                await readers.read(media_types.HTML, PAGE, 1200)
            assert "Danube" in (await readers.read(media_types.HTML, PAGE, 1200)).text
    finally:
        await readers.aclose()


def hanging(folder: Path) -> Path:
    """A Python whose first process begins and never answers."""
    python, count = folder / "python", folder / "count"
    python.write_text(
        f"#!/bin/sh\necho x >> {count}\n[ $(wc -l < {count}) -gt 1 ] || {{ printf '!'; exec sleep 600; }}\n"
        f'exec {sys.executable} "$@"\n'
    )
    python.chmod(0o755)
    return python


async def test_a_short_document_does_not_wait_behind_a_long_one(tmp_path: Path) -> None:
    readers = Readers(1, 600, 1 << 30, str(hanging(tmp_path)))
    long = asyncio.create_task(readers.read(media_types.HTML, b" " * (SHORT + 1), 1200, ("a",)))
    try:
        while not (tmp_path / "count").exists():
            await asyncio.sleep(0.01)
        assert "Danube" in (await readers.read(media_types.HTML, PAGE, 1200, ("b",))).text
        assert not long.done()
    finally:
        long.cancel()
        await asyncio.gather(long, return_exceptions=True)
        await readers.aclose()


async def test_a_document_has_time_by_its_size(tmp_path: Path) -> None:
    readers = Readers(1, 0.2, 1 << 30, str(hanging(tmp_path)))
    try:
        with pytest.raises(DocumentUnreadable, match=r"longer than 1\.6 seconds$"):
            await readers.read(media_types.HTML, PAGE, 1200, ("a",))
    finally:
        await readers.aclose()


async def test_the_time_of_others_does_not_count(tmp_path: Path) -> None:
    """A process that is kept from the processor for longer than its time has that time still."""
    python = tmp_path / "python"
    late = (
        "import sys, time; from services.retrieval.ingest import html, worker; read = worker.digest; "
        "worker.digest = lambda *document: (time.sleep(0.6), read(*document))[1]; "
        "worker.main(int(sys.argv[-1]), sys.stdin.buffer, sys.stdout.buffer)"
    )
    python.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{late}" "$@"\n')
    python.chmod(0o755)
    readers = Readers(1, 0.3, 1 << 30, str(python))
    try:
        assert "Danube" in (await readers.read(media_types.HTML, PAGE, 1200)).text
    finally:
        await readers.aclose()
