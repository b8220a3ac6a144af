"""The extractive generator, on what the retriever reads by retrieval's protocol."""

import time
from collections.abc import Callable
from dataclasses import replace
from math import isnan

import pytest

from services.llm.chat import Message, Role
from services.llm.generation import Calls, Ended, Finish, Generation, Piece, TokenCounts
from services.orchestrator.adapters.retrieval_client import RetrievalClient
from services.orchestrator.domain.document_filter import ALL
from services.orchestrator.domain.event import Span, Timing
from services.orchestrator.domain.passage import Found
from services.orchestrator.generate.extractive import ExtractiveGenerator
from services.runtime import call as calls
from services.runtime.call import Call
from services.runtime.errors import CollectionNotFound, DomainError, ErrorKind
from services.runtime.identity import Identity
from services.runtime.time_limit import TimeLimit
from tests.fakes.identity import Keys
from tests.fakes.search import FakeRetrieval, hit
from tests.fakes.serving import channel_for

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
        return await RetrievalClient(channel, TimeLimit(5)).search("cats", "who sleeps?", 3, ALL)


async def generated(
    found: Found, question: str = "Which dogs run?", threshold: float = 0.4
) -> list[Piece | Calls | Ended]:
    asked = Generation((Message(Role.SYSTEM, "Quote."), Message(Role.USER, question)), found=found, max_sentences=2)
    return [piece async for piece in ExtractiveGenerator(threshold).generate(asked)]


async def test_what_was_found_is_read_in_full(keys: Keys, as_caller: Callable[..., None]) -> None:
    as_caller()
    retrieval = FakeRetrieval({"cats": HITS})
    async with channel_for(retrieval, verifier=keys.verifier) as channel:
        found = await RetrievalClient(channel, TimeLimit(5)).search("cats", "who sleeps?", 3, ALL)
    (request,), (call,) = retrieval.requests, retrieval.calls
    assert (request.query, request.limit, request.include_sentences) == ("who sleeps?", 3, True)
    assert not request.include_embeddings, "vectors stay where they are"
    assert (call.tenant, call.request_id) == ("acme", "req_1")
    assert call.remaining < 5.5
    first = found.passages[0]
    assert (first.id, first.document_id, first.title, first.uri, first.start) == (
        "d1/p", "d1", "Title 1", "file:///d1", 100,
    )  # fmt: skip
    assert first.sentences == (Span(0, 11), Span(12, 21))
    assert (first.dense, isnan(first.lexical), first.cosines) == (0.5, True, (0.5, 0.5))
    assert not found.degraded
    assert found.timings == (Timing("embed", 0.002),)


async def test_an_unknown_collection_keeps_its_reason(as_caller: Callable[..., None]) -> None:
    as_caller()
    async with channel_for(FakeRetrieval()) as channel:
        with pytest.raises(DomainError) as caught:
            await RetrievalClient(channel, TimeLimit(5)).search("dogs", "x", 3, ALL)
    assert (caught.value.kind, caught.value.reason) == (ErrorKind.NOT_FOUND, CollectionNotFound.reason)


@pytest.mark.parametrize(("of_call", "own"), [(30.0, True), (0.2, False)])
async def test_a_search_that_takes_too_long_names_its_limit(
    as_caller: Callable[..., None], of_call: float, own: bool
) -> None:
    as_caller(of_call)
    limit = TimeLimit.of("orchestrator", "search_seconds", 0.3)
    async with channel_for(FakeRetrieval(hold=True)) as channel:
        with pytest.raises(DomainError) as caught:
            await RetrievalClient(channel, limit).search("cats", "x", 3, ALL)
    assert caught.value.kind is ErrorKind.DEADLINE_EXCEEDED
    assert (caught.value.details.get("limit") == "HEADWORKS_ORCHESTRATOR_SEARCH_SECONDS") == own
    assert ("HEADWORKS_ORCHESTRATOR_SEARCH_SECONDS" in caught.value.message) == own


async def test_quotes_with_citations_into_the_document(as_caller: Callable[..., None]) -> None:
    as_caller()
    found = await found_in()
    dogs, cats = found.passages
    near = replace(
        found, passages=(dogs, replace(cats, cosines=dogs.cosines))
    )  # as near as the first: it is quoted too
    first, second, ended = await generated(near, "Dogs run, 猫 寝?")
    assert isinstance(first, Piece)
    assert isinstance(second, Piece)
    assert isinstance(ended, Ended)
    assert (first.text, second.text) == ("Dogs run.", " 猫は寝る。")
    assert (ended.finish, ended.tokens.written > 0, ended.tokens.read > ended.tokens.written) == (
        Finish.STOP,
        True,
        True,
    )
    assert ended.confidence is not None
    assert ended.confidence > 0.4
    assert first.citation is not None
    assert second.citation is not None
    assert (first.citation.document_id, first.citation.span) == ("d1", Span(112, 121))
    assert (first.citation.passage_id, first.citation.title, first.citation.uri) == ("d1/p", "Title 1", "file:///d1")
    assert (second.citation.document_id, second.citation.span, second.citation.quote) == (
        "d2",
        Span(7, 12),
        "猫は寝る。",
    )


async def test_a_question_that_was_not_embedded_is_answered_by_its_words(as_caller: Callable[..., None]) -> None:
    as_caller()
    found = await found_in()
    words = replace(found, passages=tuple(replace(passage, cosines=()) for passage in found.passages))
    first, *_ = await generated(words)
    assert isinstance(first, Piece)
    assert first.text == "Dogs run."


async def test_a_collection_searched_without_the_embedder_beside_one_with_it(as_caller: Callable[..., None]) -> None:
    as_caller()
    found = await found_in()
    mixed = replace(found, passages=(replace(found.passages[0], cosines=()), found.passages[1]))
    assert isinstance((await generated(mixed))[0], Piece)


async def test_it_may_decline(as_caller: Callable[..., None]) -> None:
    as_caller()
    (ended,) = await generated(await found_in(), "Who won the cup final?")
    assert isinstance(ended, Ended)
    assert (ended.finish, ended.tokens.written) == (Finish.NO_ANSWER, 0)
    assert ended.confidence is not None
    assert ended.confidence < 0.4


async def test_the_threshold_decides(as_caller: Callable[..., None]) -> None:
    as_caller()
    (ended,) = await generated(await found_in(), threshold=1.0)
    assert isinstance(ended, Ended)
    assert ended.finish is Finish.NO_ANSWER


async def test_without_sentences_there_is_no_answer() -> None:
    assert await generated(Found(())) == [Ended(Finish.NO_ANSWER, TokenCounts(), 0.0)]


async def test_a_search_that_is_not_reranked_is_known_as_such(as_caller: Callable[..., None]) -> None:
    as_caller()
    retrieval = FakeRetrieval({"cats": HITS}, not_reranked=True)
    async with channel_for(retrieval) as channel:
        found = await RetrievalClient(channel, TimeLimit(5)).search("cats", "who sleeps?", 3, ALL, 20)
    assert found.not_reranked
    assert [request.rerank for request in retrieval.requests] == [20]


async def test_a_degraded_search_is_known_as_such(as_caller: Callable[..., None]) -> None:
    as_caller()
    async with channel_for(FakeRetrieval({"cats": HITS}, degraded=True)) as channel:
        assert (await RetrievalClient(channel, TimeLimit(5)).search("cats", "who sleeps?", 3, ALL)).degraded


async def test_the_search_gets_what_remains(keys: Keys, as_caller: Callable[..., None]) -> None:
    as_caller(3)
    retrieval = FakeRetrieval({"cats": HITS})
    async with channel_for(retrieval, verifier=keys.verifier) as channel:
        await RetrievalClient(channel, TimeLimit(30)).search("cats", "who sleeps?", 3, ALL)
    assert retrieval.calls[0].remaining < 3.5
