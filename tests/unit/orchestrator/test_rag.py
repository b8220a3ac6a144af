"""The RAG pipeline: the order of its events, and where its citations point."""

import pytest

from services.orchestrator.generate.generator import Generator, NoAnswer, Piece, Tokens
from services.orchestrator.rag.pipeline import RagAgent, declined
from services.orchestrator.rag.retriever import Found, Passage
from services.orchestrator.runs.agent import Ask, Outcome
from services.orchestrator.runs.events import (
    Body,
    Citation,
    CitationAdded,
    PassagesRetrieved,
    Span,
    TextDelta,
    Timing,
    UsageReported,
)
from services.runtime.errors import CollectionNotFound
from tests.fakes.agents import FakeGenerator, FakeRetriever

ASK = Ask("why?", "cats", 4, 2)
FOUND = Found((Passage("p", "d", "T", "u", "Cats sleep. Dogs run.", 100, 0.5),), timings=(Timing("embed", 0.1),))


def cited(text: str) -> Piece:
    return Piece(text, Citation("d", "T", "u", "p", Span(0, len(text)), text))


async def events(retriever: FakeRetriever, generator: Generator) -> list[Body | Outcome]:
    return [body async for body in RagAgent(retriever, generator).run(ASK)]


async def test_the_order_of_events() -> None:
    generator = FakeGenerator([cited("Cats sleep."), cited("Dogs run."), Tokens(40, 7)])
    retriever = FakeRetriever(FOUND)
    got = await events(retriever, generator)
    assert [type(body).__name__ for body in got] == [
        "PassagesRetrieved", "TextDelta", "CitationAdded", "TextDelta", "CitationAdded", "UsageReported", "Outcome",
    ]  # fmt: skip
    assert retriever.asked == [("cats", "why?", 4)]
    assert (generator.contexts[0].question, generator.contexts[0].max_sentences) == ("why?", 2)
    assert got[-2] == UsageReported(40, 7)


@pytest.mark.parametrize(
    "pieces",
    [["One."], ["One.", "Two.", "Three."], ["语言。", "😀 two", "x"], ["", "after nothing"], ["a b", " c "]],
)
async def test_answer_spans_index_into_the_joined_text(pieces: list[str]) -> None:
    got = await events(FakeRetriever(FOUND), FakeGenerator([cited(piece) for piece in pieces]))
    answer = "".join(body.text for body in got if isinstance(body, TextDelta))
    spans = [body.answer_span for body in got if isinstance(body, CitationAdded)]
    assert [answer[span.start : span.end] for span in spans] == pieces


async def test_a_piece_without_a_source_has_no_citation() -> None:
    got = await events(FakeRetriever(FOUND), FakeGenerator([Piece("I think"), cited("Cats sleep.")]))
    (citation,) = [body for body in got if isinstance(body, CitationAdded)]
    assert citation.answer_span == Span(8, 19)


async def test_passages_are_told_by_reference() -> None:
    got = await events(FakeRetriever(FOUND), FakeGenerator())
    assert isinstance(got[0], PassagesRetrieved)
    assert [(one.passage_id, one.document_id, one.title, one.score) for one in got[0].passages] == [
        ("p", "d", "T", 0.5)
    ]


@pytest.mark.parametrize("found", [FOUND, Found(())])
async def test_when_nothing_answers_it_says_so(found: Found) -> None:
    got = await events(FakeRetriever(found), FakeGenerator([NoAnswer(0.1), Tokens(3, 0)]))
    outcome = got[-1]
    assert isinstance(outcome, Outcome)
    assert not outcome.answered
    assert [body for body in got if isinstance(body, TextDelta)] == [TextDelta(declined("cats"))]
    assert not [body for body in got if isinstance(body, CitationAdded)]


async def test_each_hop_is_timed() -> None:
    (*_, outcome) = await events(FakeRetriever(FOUND), FakeGenerator([cited("Cats sleep.")]))
    assert isinstance(outcome, Outcome)
    assert outcome.answered
    assert [timing.hop for timing in outcome.timings] == ["retrieval", "embed", "fake"]


async def test_errors_pass_and_the_generator_is_closed() -> None:
    with pytest.raises(CollectionNotFound):
        await events(FakeRetriever(error=CollectionNotFound("cats")), FakeGenerator())
    generator = FakeGenerator([cited("Cats sleep.")], error=RuntimeError("boom"))
    with pytest.raises(RuntimeError):
        await events(FakeRetriever(FOUND), generator)
    assert generator.closed == 1


async def test_a_run_that_is_closed_closes_its_generator() -> None:
    generator = FakeGenerator([cited("Cats sleep."), cited("Dogs run.")])
    run = RagAgent(FakeRetriever(FOUND), generator).run(ASK)
    for _ in range(2):
        await anext(run)
    await run.aclose()
    assert generator.closed == 1
