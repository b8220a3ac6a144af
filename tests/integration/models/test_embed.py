"""The `embed` model through a real Triton."""

import asyncio
import re
import urllib.request

import grpc
import numpy as np
import pytest

from services.models.encoder import Vectors
from services.runtime.triton import TooManyInferences, TritonClient
from tests.integration.models.conftest import Server


def executions(server: Server) -> int:
    """How often the model has run so far, from Triton's own metrics."""
    with urllib.request.urlopen(f"http://127.0.0.1:{server.ports.metrics}/metrics") as response:
        text = response.read().decode()
    (count,) = re.findall(r'nv_inference_exec_count{model="embed",version="1"} (\d+)', text)
    return int(count)


async def test_texts_become_unit_vectors(client: TritonClient) -> None:
    found = await client.embed(["The weather is lovely today.", "It's so sunny outside!", ""], timeout=10)
    assert found.vectors.shape == (3, 384)
    assert np.allclose(np.linalg.norm(found.vectors, axis=1), 1, atol=1e-5)
    assert found.vectors[0] @ found.vectors[1] == pytest.approx(0.666, abs=0.01)
    assert found.tokens == 8 + 9 + 2


async def test_passages_bring_their_sentences(client: TritonClient) -> None:
    texts = ["A cat sat. Dogs bark.", "", "水。山。"]
    found = await client.embed_passages(texts, [[(0, 10), (11, 21)], [], [(0, 2), (2, 4)]], timeout=10)
    assert found.vectors.shape == (3, 384)
    assert [item.shape for item in found.sentences] == [(2, 384), (0, 384), (2, 384)]
    dogs = (await client.embed(["Dogs bark."], timeout=10)).vectors[0]
    cosines = found.sentences[0].astype(np.float32) @ dogs
    assert cosines[1] > cosines[0]


async def test_nothing_to_embed(client: TritonClient) -> None:
    assert (await client.embed([], timeout=10)).vectors.shape == (0, 384)
    found = await client.embed_passages([], [], timeout=10)
    assert found.vectors.shape == (0, 384)
    assert found.sentences == []


@pytest.mark.parametrize(
    "text", ["🙂👩‍👩‍👧", "長い文" * 33_334, "\0", "a\n" * 60_000], ids=["emoji", "long", "nul", "lines"]
)
async def test_any_text(client: TritonClient, text: str) -> None:
    found = await client.embed([text], timeout=10)
    assert np.linalg.norm(found.vectors[0]) == pytest.approx(1, abs=1e-5)


async def test_requests_share_executions(client: TritonClient, triton: Server) -> None:
    texts = [f"Question number {number}, is it batched?" for number in range(128)]
    alone = await client.embed(texts, timeout=10)
    before = await asyncio.to_thread(executions, triton)
    limit = asyncio.Semaphore(32)

    async def ask(text: str) -> Vectors:
        async with limit:
            found = await client.embed([text], timeout=30)
        vector: Vectors = found.vectors[0]
        return vector

    together = np.array(await asyncio.gather(*map(ask, texts)))
    assert await asyncio.to_thread(executions, triton) - before < 64
    assert (alone.vectors * together).sum(axis=1).min() > 0.999


async def test_queries_and_ingestion_at_once(client: TritonClient) -> None:
    passages = ["A passage about rivers. And about weirs."] * 8
    spans = [[(0, 23), (24, 40)]] * 8
    work = [client.embed_passages(passages, spans, timeout=30) for _ in range(6)]
    asks = [client.embed(["What about rivers?"], timeout=30) for _ in range(24)]
    stored, asked = await asyncio.gather(asyncio.gather(*work), asyncio.gather(*asks))
    assert all(item.sentences[7].shape == (2, 384) for item in stored)
    assert all(item.vectors[0] @ asked[0].vectors[0] > 0.999 for item in asked)


async def test_more_texts_than_a_batch_holds(client: TritonClient) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.embed(["a"] * 129, timeout=10)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_an_unreadable_request_fails_alone(client: TritonClient) -> None:
    good = [client.embed(["fine"], timeout=10) for _ in range(8)]
    bad = [client.embed_passages(["bad"], [[(2, 1)]], timeout=10) for _ in range(8)]
    passages = [client.embed_passages(["fine"], [[(0, 4)]], timeout=10) for _ in range(8)]
    results = await asyncio.gather(*good, *bad, *passages, return_exceptions=True)
    assert all(not isinstance(result, BaseException) for result in results[:8] + results[16:])
    for error in results[8:16]:
        assert isinstance(error, grpc.aio.AioRpcError)
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert "SPANS" in str(error.details())


async def test_a_deadline_and_a_caller_that_leaves(client: TritonClient) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.embed(["a long text " * 40] * 16, timeout=0.005)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    task = asyncio.create_task(client.embed(["a long text " * 40] * 8, timeout=30))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len((await client.embed(["still there"], timeout=30)).vectors) == 1


async def test_readiness(client: TritonClient) -> None:
    assert await client.ready(["embed", "injection"])
    assert not await client.ready(["embed", "no such model"])
    async with grpc.aio.insecure_channel("127.0.0.1:1") as channel:
        assert not await TritonClient(channel).ready(["embed"])


async def test_more_calls_than_the_limit_are_refused_at_once(triton: Server) -> None:
    async with grpc.aio.insecure_channel(triton.target) as channel:
        client = TritonClient(channel, limit=4)
        asks = [client.embed(["a long text " * 40] * 16, timeout=60) for _ in range(8)]
        results = await asyncio.gather(*asks, return_exceptions=True)
        refused = [result for result in results if isinstance(result, TooManyInferences)]
        assert len(refused) == 4
        assert len((await client.embed(["after it"], timeout=60)).vectors) == 1
