"""The processes that read documents: started once more where they die before they begin."""

import sys
from pathlib import Path

import pytest

from services.retrieval.errors import DocumentUnreadable
from services.retrieval.ingest import media
from services.retrieval.ingest.readers import Readers

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
            assert "Danube" in (await readers.read(media.HTML, PAGE, 1200)).text
        else:
            with pytest.raises(DocumentUnreadable, match="documents did not begin: killed by SIGSEGV"):
                await readers.read(media.HTML, PAGE, 1200)
            assert "Danube" in (await readers.read(media.HTML, PAGE, 1200)).text
    finally:
        await readers.aclose()
