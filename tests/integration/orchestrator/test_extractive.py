"""The extractive generator against Triton's protocol, and the retriever against retrieval's."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace

import grpc
import numpy as np
import pytest

from services.llm.chat import Message, Role
from services.llm.generation import Calls, Ended, Finish, Generation, Piece, Tokens
from services.orchestrator.generate.extractive import ExtractionFailed, ExtractiveGenerator
from services.orchestrator.rag.retriever import Found
from services.orchestrator.retrieval_client import RetrievalClient
from services.orchestrator.runs.events import Span, Timing
from services.runtime import call as calls
from services.runtime.call import Call
from services.runtime.errors import CollectionNotFound, DomainError, Kind
from services.runtime.identity import Identity
from services.runtime.triton import TritonClient
from tests.fakes.identity import Keys
from tests.fakes.search import FakeRetrieval, hit
from tests.fakes.serving import channel_for, until
from tests.fakes.triton import FakeTriton, strings, tensor

pytestmark = pytest.mark.integration

HITS = [hit(1, "Cats sleep.", "Dogs run.", start=100), hit(2, "猫は寝る。", "Fish swim.", start=7)]


@pytest.fixture
def as_caller(keys: Keys) -> Callable[..., None]:
    """Makes this task one that serves a call."""

    def enter(seconds: float = 30) -> None:
        token = keys.signer.token(Identity("acme", "ann"))
        calls.enter(Call("/test", request_id="req_1", deadline=time.monotonic() + seconds, token=token))

    return enter


async def found_in() -> Found:
    async with channel_for(FakeRetrieval({"cats": HITS})) as channel:
        return await RetrievalClient(channel, 5).search("cats", "who sleeps?", 3)


@asynccontextmanager
async def generator_of(triton: FakeTriton, timeout: float = 5) -> AsyncIterator[ExtractiveGenerator]:
    async with channel_for(triton) as channel:
        yield ExtractiveGenerator(TritonClient(channel), timeout)


def asked(question: str, found: Found) -> Generation:
    return Generation((Message(Role.SYSTEM, "Quote."), Message(Role.USER, question)), found=found, max_sentences=2)


async def generated(triton: FakeTriton, found: Found, timeout: float = 5) -> list[Piece | Calls | Ended]:
    async with generator_of(triton, timeout) as generator:
        return [piece async for piece in generator.generate(asked("who sleeps?", found))]


async def test_what_was_found_is_read_in_full(keys: Keys, as_caller: Callable[..., None]) -> None:
    as_caller()
    retrieval = FakeRetrieval({"cats": HITS})
    async with channel_for(retrieval, verifier=keys.verifier) as channel:
        found = await RetrievalClient(channel, 5).search("cats", "who sleeps?", 3)
    (request,), (call,) = retrieval.requests, retrieval.calls
    assert (request.query, request.limit, request.include_embeddings) == ("who sleeps?", 3, True)
    assert (call.tenant, call.request_id) == ("acme", "req_1")
    assert call.remaining < 5.5
    first = found.passages[0]
    assert (first.id, first.document_id, first.title, first.uri, first.start) == (
        "d1/p", "d1", "Title 1", "file:///d1", 100,
    )  # fmt: skip
    assert first.sentences == (Span(0, 11), Span(12, 21))
    assert (first.dense, np.isnan(first.lexical), first.vectors.shape) == (0.5, True, (2, 384))
    assert found.query_vector is not None
    assert found.query_vector.shape == (384,)
    assert found.timings == (Timing("embed", 0.002),)


async def test_an_unknown_collection_keeps_its_reason(as_caller: Callable[..., None]) -> None:
    as_caller()
    async with channel_for(FakeRetrieval()) as channel:
        with pytest.raises(DomainError) as caught:
            await RetrievalClient(channel, 5).search("dogs", "x", 3)
    assert (caught.value.kind, caught.value.reason) == (Kind.NOT_FOUND, CollectionNotFound.reason)


async def test_quotes_with_citations_into_the_document(as_caller: Callable[..., None]) -> None:
    as_caller()
    triton = FakeTriton(2, 1)
    got = await generated(triton, await found_in())
    first, second, ended = got
    assert isinstance(first, Piece)
    assert isinstance(second, Piece)
    assert (first.text, second.text) == ("猫は寝る。", " Dogs run.")
    assert ended == Ended(Finish.STOP, Tokens(40, 7), 0.875)
    assert first.citation is not None
    assert second.citation is not None
    assert (first.citation.document_id, first.citation.span, first.citation.quote) == ("d2", Span(7, 12), "猫は寝る。")
    assert (second.citation.document_id, second.citation.span) == ("d1", Span(112, 121))
    assert (second.citation.passage_id, second.citation.title, second.citation.uri) == ("d1/p", "Title 1", "file:///d1")


async def test_what_the_model_is_asked(as_caller: Callable[..., None]) -> None:
    as_caller()
    triton = FakeTriton(0)
    await generated(triton, await found_in())
    (request,) = triton.requests
    assert strings(tensor(request, "QUESTION")) == ["who sleeps?"]
    assert strings(tensor(request, "SENTENCES")) == ["Cats sleep.", "Dogs run.", "猫は寝る。", "Fish swim."]
    assert np.frombuffer(tensor(request, "PASSAGE"), "<i4").tolist() == [0, 0, 1, 1]
    assert np.frombuffer(tensor(request, "QUERY_VECTOR"), "<f4").shape == (384,)
    assert np.frombuffer(tensor(request, "SENTENCE_VECTORS"), "i1").reshape(4, 384)[:, 0].tolist() == [1, 1, 2, 2]
    scores = np.frombuffer(tensor(request, "PASSAGE_SCORES"), "<f4").reshape(2, 2)
    assert scores[:, 0].tolist() == [0.5, 0.5]
    assert np.isnan(scores[:, 1]).all()
    assert np.frombuffer(tensor(request, "MAX_SENTENCES"), "<i4").tolist() == [2]


async def test_a_question_that_was_not_embedded(as_caller: Callable[..., None]) -> None:
    as_caller()
    triton = FakeTriton(0)
    await generated(triton, replace(await found_in(), query_vector=None))
    assert tensor(triton.requests[0], "QUERY_VECTOR") == b""


async def test_the_model_may_decline(as_caller: Callable[..., None]) -> None:
    as_caller()
    declined = Ended(Finish.NO_ANSWER, Tokens(40, 7), 0.125)
    assert await generated(FakeTriton(-1, confidence=0.125), await found_in()) == [declined]


async def test_without_sentences_the_model_is_not_asked(as_caller: Callable[..., None]) -> None:
    as_caller()
    triton = FakeTriton(0)
    assert await generated(triton, Found(())) == [Ended(Finish.NO_ANSWER, Tokens(), 0.0)]
    assert triton.requests == []


@pytest.mark.parametrize("code", [grpc.StatusCode.INVALID_ARGUMENT, None], ids=["refused", "silent"])
async def test_a_model_that_fails(as_caller: Callable[..., None], code: grpc.StatusCode | None) -> None:
    as_caller()
    triton = FakeTriton(code=code)
    found = await found_in()
    with pytest.raises(ExtractionFailed) as caught:
        await generated(triton, found)
    assert "said by Triton" not in caught.value.message


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (grpc.StatusCode.UNAVAILABLE, Kind.UNAVAILABLE),
        (grpc.StatusCode.DEADLINE_EXCEEDED, Kind.DEADLINE_EXCEEDED),
        (grpc.StatusCode.INTERNAL, Kind.INTERNAL),
    ],
)
async def test_a_server_that_fails(as_caller: Callable[..., None], code: grpc.StatusCode, kind: Kind) -> None:
    as_caller()
    triton = FakeTriton(code=code)
    found = await found_in()
    with pytest.raises(DomainError) as caught:
        await generated(triton, found)
    assert caught.value.kind is kind
    assert "said by Triton" not in caught.value.message


@pytest.mark.parametrize(("limit", "remaining"), [(5, 30), (30, 5)])
async def test_the_model_gets_what_remains(as_caller: Callable[..., None], limit: float, remaining: float) -> None:
    as_caller(remaining)
    triton = FakeTriton(0)
    await generated(triton, await found_in(), limit)
    assert triton.timeouts == [pytest.approx(5, abs=1)]


async def test_who_leaves_cancels_the_work(as_caller: Callable[..., None]) -> None:
    as_caller()
    triton, found = FakeTriton(0, hold=True), await found_in()
    async with generator_of(triton) as generator, aclosing(generator.generate(asked("x", found))) as pieces:
        first = asyncio.ensure_future(anext(pieces))
        await triton.held.wait()
        first.cancel()
        await until(triton.left.is_set)
