"""The service over a channel."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fakes.retrieval import FakeEmbedder, Served, served


@pytest.fixture
def embedder() -> FakeEmbedder:
    return FakeEmbedder()


@pytest.fixture
async def service(tmp_path: Path, embedder: FakeEmbedder) -> AsyncIterator[Served]:
    async with served(tmp_path, embedder, max_document_bytes=3 << 20, read_seconds=20) as running:
        yield running
