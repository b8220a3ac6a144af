"""The embedder of routes by difficulty before a Triton that answers, is late, is gone, or does not know the model."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import pytest
from tritonclient.grpc import service_pb2_grpc as pb_grpc

from services.llm.difficulty.triton import TritonTextEmbedder
from services.runtime.embedders import E5, MINILM
from services.runtime.errors import Unavailable
from services.runtime.triton import TritonClient
from tests.fakes.triton import FakeTriton, vector_of


@asynccontextmanager
async def embedder_of(fake: FakeTriton, seconds: float = 5) -> AsyncIterator[TritonTextEmbedder]:
    server = grpc.aio.server()
    pb_grpc.add_GRPCInferenceServiceServicer_to_server(fake, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield TritonTextEmbedder(TritonClient(channel), seconds)
    finally:
        await server.stop(0)


async def test_a_text_has_its_vector() -> None:
    fake = FakeTriton()
    async with embedder_of(fake) as embedder:
        assert (await embedder.embed("why?", MINILM.name) == vector_of("why?")).all()
        await embedder.embed("why?", E5.name)
    assert [request.model_name for request in fake.requests] == ["embed", "embed_e5"]


async def test_one_that_is_late_is_waited_for_once() -> None:
    fake = FakeTriton(hold=True)
    async with embedder_of(fake, 0.1) as embedder:
        began = time.monotonic()
        for _ in range(20):
            with pytest.raises(Unavailable):
                await embedder.embed("why?", MINILM.name)
        assert time.monotonic() - began < 1.5
    assert len(fake.requests) <= 2


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INTERNAL])
async def test_one_that_fails_leaves_the_others_alone(code: grpc.StatusCode) -> None:
    fake = FakeTriton(code)
    async with embedder_of(fake) as embedder:
        with pytest.raises(Unavailable):
            await embedder.embed("why?", E5.name)
        fake.code = None
        assert len(await embedder.embed("why?", MINILM.name)) == 384
