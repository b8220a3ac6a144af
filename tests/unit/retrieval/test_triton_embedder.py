"""The adapter to Triton's model."""

from collections.abc import Sequence
from typing import Any

import grpc
import numpy as np
import pytest

from services.retrieval import triton_embedder
from services.retrieval.errors import EmbedderTimeout, EmbedderUnavailable
from services.retrieval.triton_embedder import TritonEmbedder
from services.runtime.call import Call, enter
from services.runtime.embedders import EmbedderSpec
from services.runtime.errors import DeadlineExceeded
from services.runtime.triton import Embeddings, PassageEmbeddings


class FakeTriton:
    """Answers after `failures` calls have failed with `code`."""

    def __init__(self, failures: int = 0, code: grpc.StatusCode = grpc.StatusCode.UNAVAILABLE) -> None:
        self.failures = failures
        self.code = code
        self.timeouts: list[float] = []
        self.sizes: list[int] = []

    async def embed(self, texts: Sequence[str], *, timeout: float, embedder: EmbedderSpec) -> Embeddings:
        self._answer(timeout)
        return Embeddings(np.ones((len(texts), 384), dtype=np.float32), np.full(len(texts), 3, dtype=np.int32))

    async def embed_passages(
        self, texts: Sequence[str], spans: Any, *, timeout: float, embedder: EmbedderSpec
    ) -> PassageEmbeddings:
        self.sizes.append(len(texts))
        self._answer(timeout)
        sentences = [np.full((len(own), 384), 7, dtype=np.int8) for own in spans]
        return PassageEmbeddings(np.ones((len(texts), 384), dtype=np.float32), 3, sentences)

    def _answer(self, timeout: float) -> None:
        self.timeouts.append(timeout)
        if len(self.timeouts) <= self.failures:
            raise grpc.aio.AioRpcError(self.code, grpc.aio.Metadata(), grpc.aio.Metadata(), "no", "")


def embedder(client: Any, seconds: float = 30, query_seconds: float = 30) -> TritonEmbedder:
    return TritonEmbedder(client, seconds, query_seconds)


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(triton_embedder, "FIRST_PAUSE", 0.0)


async def test_a_query_is_one_vector() -> None:
    vector = await embedder(FakeTriton()).embed_query("water")
    assert vector.shape == (384,)


async def test_passages_come_with_their_sentences() -> None:
    (_, first), (_, second) = await embedder(FakeTriton()).embed_passages(["a", "b"], [[(0, 1)], []])
    assert (first.spans, first.vectors) == ([(0, 1)], bytes([7]) * 384)
    assert (second.spans, second.vectors) == ([], b"")


async def test_a_query_is_not_tried_again() -> None:
    client = FakeTriton(failures=1)
    with pytest.raises(EmbedderUnavailable):
        await embedder(client).embed_query("water")
    assert len(client.timeouts) == 1


async def test_passages_are_tried_again() -> None:
    client = FakeTriton(failures=3)
    assert len(await embedder(client).embed_passages(["a"], [[]])) == 1
    assert len(client.timeouts) == 4


async def test_passages_are_not_tried_for_ever() -> None:
    client = FakeTriton(failures=100)
    with pytest.raises(EmbedderUnavailable):
        await embedder(client).embed_passages(["a"], [[]])
    assert len(client.timeouts) == triton_embedder.PASSAGE_TRIES


async def test_passages_that_took_too_long_are_tried_again_by_halves() -> None:
    client = FakeTriton(failures=2, code=grpc.StatusCode.DEADLINE_EXCEEDED)
    found = await embedder(client).embed_passages(list("abcdefgh"), [[(0, 1)]] * 8)
    assert len(found) == 8
    assert client.sizes == [8, 4, 2, 2, 2, 2]
    late = FakeTriton(failures=100, code=grpc.StatusCode.DEADLINE_EXCEEDED)
    with pytest.raises(EmbedderUnavailable):
        await embedder(late).embed_passages(["a", "b"], [[], []])
    assert len(late.timeouts) == triton_embedder.PASSAGE_TRIES


async def test_a_late_answer_is_a_deadline() -> None:
    client = FakeTriton(failures=1, code=grpc.StatusCode.DEADLINE_EXCEEDED)
    with pytest.raises(DeadlineExceeded):
        await embedder(client).embed_query("water")


async def test_a_query_has_half_of_what_remains_of_its_call() -> None:
    call = Call("/x/y")
    call.deadline = call.started + 4
    enter(call)
    client = FakeTriton()
    await embedder(client).embed_query("water")
    await embedder(client, query_seconds=1).embed_query("water")
    assert 1 < client.timeouts[0] <= 2
    assert client.timeouts[1] == 1
    call.deadline = call.started
    with pytest.raises(DeadlineExceeded):
        await embedder(client).embed_query("water")


async def test_only_all_its_own_time_tells_that_the_model_is_silent() -> None:
    late = FakeTriton(9, grpc.StatusCode.DEADLINE_EXCEEDED)
    with pytest.raises(EmbedderTimeout):
        await embedder(late, query_seconds=1).embed_query("water")
    call = Call("/x", {})
    call.deadline = call.started + 1
    enter(call)
    with pytest.raises(DeadlineExceeded) as caught:
        await embedder(late, query_seconds=1).embed_query("water")
    assert not isinstance(caught.value, EmbedderTimeout)
