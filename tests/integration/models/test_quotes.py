"""Quotes by the vectors of a real Triton, and what becomes of its processes."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import psutil
import pytest

from services.models import layout
from services.models.settings import ModelsSettings
from services.models.triton import prepare
from services.orchestrator.rag.quotes import QuoteQuestion, choose
from services.retrieval.search.sentences import cosines
from services.runtime.triton import TritonClient
from tests.integration.models.conftest import Server, running

SENTENCES = [
    "The headworks were built in 1912 by Anna Weir.",
    "The headworks stand at the river.",
    "Bread needs flour.",
]


@pytest.fixture
async def question(client: TritonClient) -> QuoteQuestion:
    asked = "Who built the headworks?"
    vector = (await client.embed([asked], timeout=10)).vectors[0]
    text = " ".join(SENTENCES)
    starts = [text.index(sentence) for sentence in SENTENCES]
    spans = [(start, start + len(sentence)) for start, sentence in zip(starts, SENTENCES, strict=True)]
    passage = await client.embed_passages([text], [spans], timeout=10)
    near = np.array(cosines(passage.sentences[0], vector), np.float32)
    return QuoteQuestion(asked, SENTENCES, near, np.zeros(3, np.int32), np.array([[0.6, np.nan]], np.float32), 2)


async def test_sentences_come_best_first(question: QuoteQuestion) -> None:
    found = choose(question, 0.4)
    assert [number for number, _ in found.chosen] == [0, 1]
    assert found.chosen[0][1] > found.chosen[1][1]
    assert 0.5 < found.confidence <= 1
    assert found.tokens_read > found.tokens_written > 0


async def test_it_declines(question: QuoteQuestion) -> None:
    found = choose(replace(question, text="Who won the cup final?", cosines=np.empty(0, np.float32)), 0.4)
    assert found.chosen == []
    assert found.confidence < 0.5


async def test_callers_that_leave_do_no_harm(client: TritonClient) -> None:
    """Triton 2.51 crashes on cancelled streams; this holds us to calls that it survives."""

    async def leave(number: int) -> None:
        task = asyncio.create_task(client.embed(["a text"], timeout=10))
        await asyncio.sleep(number % 10 / 1000)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    for _ in range(10):
        await asyncio.gather(*map(leave, range(50)))
    assert len((await client.embed(["still there"], timeout=10)).vectors) == 1


def children(server: Server) -> list[psutil.Process]:
    return psutil.Process(server.process.pid).children(recursive=True)


@pytest.fixture
def doomed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("doomed"), ModelsSettings()) as server:
        yield server


def test_a_killed_server_takes_its_stubs_along(doomed: Server) -> None:
    stubs = children(doomed)
    assert len(stubs) == 4
    doomed.process.kill()
    doomed.process.wait()
    _, alive = psutil.wait_procs(stubs, timeout=10)
    assert alive == []


def test_what_a_killed_server_leaves_in_memory_is_cleared(doomed: Server) -> None:
    folder = doomed.log.parent
    prefix = layout.shared_memory_prefix(folder)
    doomed.process.kill()
    doomed.process.wait()
    assert list(layout.SHARED_MEMORY.glob(f"{prefix}*"))
    prepare(folder, doomed.ports, ModelsSettings())
    assert not list(layout.SHARED_MEMORY.glob(f"{prefix}*"))
