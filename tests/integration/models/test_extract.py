"""The `extract` model through a real Triton, and what becomes of its process."""

import asyncio
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import replace

import numpy as np
import psutil
import pytest

from services.models import layout
from services.models.settings import ModelsSettings
from services.models.triton import prepare
from services.runtime.triton import Extracted, ExtractRequest, TritonClient, TritonError
from tests.integration.models.conftest import Server, running

pytestmark = pytest.mark.integration

SENTENCES = ["The headworks were built in 1912 by Anna Weir.", "They stand at the river.", "Bread needs flour."]


@pytest.fixture
async def request_(client: TritonClient) -> ExtractRequest:
    question = "When were the headworks built?"
    vector = (await client.embed([question], timeout=10)).vectors[0]
    text = " ".join(SENTENCES)
    starts = [text.index(sentence) for sentence in SENTENCES]
    spans = [(start, start + len(sentence)) for start, sentence in zip(starts, SENTENCES, strict=True)]
    passage = await client.embed_passages([text], [spans], timeout=10)
    scores = np.array([[0.6, np.nan]], dtype=np.float32)
    return ExtractRequest(question, vector, SENTENCES, passage.sentences[0], np.zeros(3, np.int32), scores, 2)


async def collect(client: TritonClient, request: ExtractRequest) -> list[Extracted]:
    return [item async for item in client.extract(request, timeout=10)]


async def test_sentences_come_best_first(client: TritonClient, request_: ExtractRequest) -> None:
    found = await collect(client, request_)
    assert [item.sentence for item in found] == [0, 1]
    assert found[0].score > found[1].score
    assert 0.5 < found[0].confidence <= 1
    assert found[0].tokens_read > found[0].tokens_written > 0


async def test_it_declines(client: TritonClient, request_: ExtractRequest) -> None:
    (found,) = await collect(client, replace(request_, question="Who won the cup final?", query_vector=None))
    assert found.sentence is None
    assert found.confidence < 0.5


async def test_nothing_to_read(client: TritonClient, request_: ExtractRequest) -> None:
    nothing = replace(
        request_,
        sentences=[],
        sentence_vectors=np.empty((0, 384), np.int8),
        passage=np.empty(0, np.int32),
        passage_scores=np.empty((0, 2), np.float32),
    )
    (found,) = await collect(client, nothing)
    assert found.sentence is None


async def test_the_models_refusal_is_an_error(client: TritonClient, request_: ExtractRequest) -> None:
    with pytest.raises(TritonError, match="MAX_SENTENCES"):
        await collect(client, replace(request_, max_sentences=0))
    with pytest.raises(TritonError, match="PASSAGE"):
        await collect(client, replace(request_, passage=np.array([0, 0, 7], np.int32)))


async def test_many_at_once(client: TritonClient, request_: ExtractRequest) -> None:
    found = await asyncio.gather(*(collect(client, request_) for _ in range(64)))
    assert all([item.sentence for item in answer] == [0, 1] for answer in found)


async def test_callers_that_leave_do_no_harm(client: TritonClient, request_: ExtractRequest) -> None:
    """Triton 2.51 crashes on cancelled streams; this holds us to calls that it survives."""

    async def leave(number: int) -> None:
        task = asyncio.create_task(collect(client, request_))
        await asyncio.sleep(number % 10 / 1000)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    for _ in range(10):
        await asyncio.gather(*map(leave, range(50)))
    async with aclosing(client.extract(request_, timeout=10)) as stream:
        async for first in stream:
            assert first.sentence == 0
            break
    assert len(await collect(client, request_)) == 2


def children(server: Server) -> list[psutil.Process]:
    return psutil.Process(server.process.pid).children(recursive=True)


@pytest.fixture
def doomed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("doomed"), ModelsSettings(answer_threshold=1.0)) as server:
        yield server


def test_a_killed_server_takes_its_stubs_along(doomed: Server) -> None:
    stubs = children(doomed)
    assert len(stubs) == 5
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
