"""The agent `rag`: the order of its events, and where its citations point."""

from collections.abc import Sequence

import pytest

from services.llm.catalogue.entry import EngineKind
from services.llm.chat import Message, Role
from services.llm.generation import Calls, Ended, Finish, Piece, TokenCounts
from services.llm.price import Price
from services.orchestrator.agents.loop.loop import SpecAgent
from services.orchestrator.agents.loop.prompt import declined
from services.orchestrator.agents.loop.work import Kit
from services.orchestrator.agents.specs.shipped import shipped
from services.orchestrator.agents.specs.validation import parse
from services.orchestrator.domain.event import (
    Body,
    Citation,
    CitationAdded,
    FinishReason,
    PassagesRetrieved,
    Span,
    TextDelta,
    Timing,
    UsageReported,
)
from services.orchestrator.domain.passage import Found, Passage
from services.orchestrator.runs.agent import RunInput, RunOutcome
from services.runtime.errors import CollectionNotFound, InvalidArgument
from tests.fakes.agents import FakeGenerator, FakeRetriever
from tests.fakes.models import FakeJournal, ScriptedGenerator, catalogue, played, says, turns

ASK = RunInput((Message(Role.USER, "why?"),), "cats", 4, 2)
CATS = Passage("p", "d", "T", "u", "Cats sleep. Dogs run.", 100, 0.5, sentences=(Span(0, 11), Span(12, 21)))
FISH = Passage("q", "e", "F", "v", "Fish swim.", 7, 0.4)
FOUND = Found((CATS, FISH), timings=(Timing("embed", 0.1),))
END = Ended(Finish.STOP, TokenCounts(40, 7), 0.9)


def cited(text: str) -> Piece:
    return Piece(text, Citation("d", "T", "u", "p", Span(0, len(text)), text))


def quoting(retriever: FakeRetriever, *pieces: Piece | Calls | Ended) -> tuple[SpecAgent, FakeGenerator]:
    """`rag` on a generator that quotes."""
    generator = FakeGenerator(pieces)
    models = catalogue(("extractive", generator), engine=EngineKind.EXTRACTIVE, price=Price())
    return SpecAgent(parse(shipped()["rag"]), 1, models.find("extractive"), Kit(models, retriever)), generator


def writing(retriever: FakeRetriever, *parts: str) -> tuple[SpecAgent, ScriptedGenerator]:
    """`rag` on a language model."""
    generator = ScriptedGenerator(turns(says(*parts)))
    models = catalogue(("small", generator))
    return SpecAgent(parse(shipped()["rag"]), 1, models.find("small"), Kit(models, retriever)), generator


async def events(retriever: FakeRetriever, *pieces: Piece | Calls | Ended) -> tuple[list[Body], RunOutcome]:
    return await played(quoting(retriever, *pieces)[0], ASK)


def answer(bodies: Sequence[Body]) -> str:
    return "".join(body.text for body in bodies if isinstance(body, TextDelta))


async def test_the_order_of_events() -> None:
    retriever = FakeRetriever(FOUND)
    agent, generator = quoting(retriever, cited("Cats sleep."), cited(" Dogs run."), END)
    got, outcome = await played(agent, ASK)
    assert [type(body).__name__ for body in got] == [
        "StepStarted", "PassagesRetrieved", "StepFinished",
        "StepStarted", "TextDelta", "CitationAdded", "TextDelta", "CitationAdded", "StepFinished", "UsageReported",
    ]  # fmt: skip
    assert retriever.asked == [("cats", "why?", 4)]
    (generation,) = generator.asked
    assert (generation.messages[-1].content, generation.max_sentences, generation.found) == ("why?", 2, FOUND)
    assert got[-1] == UsageReported(40, 7)
    assert outcome.reason is FinishReason.STOP


@pytest.mark.parametrize(
    "pieces",
    [["One."], ["One.", "Two.", "Three."], ["语言。", "😀 two", "x"], ["", "after nothing"], ["a b", "c"]],
)
async def test_answer_spans_index_into_the_joined_text(pieces: list[str]) -> None:
    got, _ = await events(FakeRetriever(FOUND), *map(cited, pieces), END)
    spans = [body.answer_span for body in got if isinstance(body, CitationAdded)]
    assert [answer(got)[span.start : span.end] for span in spans] == pieces


async def test_a_piece_without_a_source_has_no_citation() -> None:
    got, _ = await events(FakeRetriever(FOUND), Piece("I think"), cited(" Cats sleep."), END)
    (citation,) = [body for body in got if isinstance(body, CitationAdded)]
    assert citation.answer_span == Span(8, 19)


async def test_passages_are_told_by_reference() -> None:
    got, _ = await events(FakeRetriever(FOUND), END)
    assert isinstance(got[1], PassagesRetrieved)
    first = got[1].passages[0]
    assert (first.passage_id, first.document_id, first.title, first.score) == ("p", "d", "T", 0.5)


@pytest.mark.parametrize("found", [FOUND, Found(())])
async def test_when_nothing_answers_it_says_so(found: Found) -> None:
    got, outcome = await events(FakeRetriever(found), Ended(Finish.NO_ANSWER, TokenCounts(3, 0), 0.1))
    assert outcome.reason is FinishReason.NO_ANSWER
    assert [body for body in got if isinstance(body, TextDelta)] == [TextDelta(declined("cats"))]
    assert not [body for body in got if isinstance(body, CitationAdded)]


async def test_each_hop_is_timed() -> None:
    _, outcome = await events(FakeRetriever(FOUND), cited("Cats sleep."), END)
    assert [timing.hop for timing in outcome.timings] == ["retrieval", "embed", "fake"]


async def test_what_the_caller_leaves_open_is_the_agents_choice() -> None:
    retriever = FakeRetriever(FOUND)
    agent, generator = quoting(retriever, END)
    await played(agent, RunInput((Message(Role.USER, "why?"),)))
    assert retriever.asked == [("default", "why?", 3)]
    assert generator.asked[0].max_sentences == 2


async def test_a_question_that_is_too_long() -> None:
    agent, _ = quoting(FakeRetriever(FOUND), END)
    with pytest.raises(InvalidArgument, match="8193 characters"):
        await played(agent, RunInput((Message(Role.USER, "x" * 8193),)))


async def test_errors_pass_and_the_generator_is_closed() -> None:
    agent, _ = quoting(FakeRetriever(error=CollectionNotFound("cats")))
    with pytest.raises(CollectionNotFound):
        await played(agent, ASK)
    agent, generator = quoting(FakeRetriever(FOUND), cited("Cats sleep."))
    generator.error = RuntimeError("boom")
    with pytest.raises(RuntimeError):
        await played(agent, ASK)
    assert generator.closed == 1


async def test_a_run_that_is_closed_closes_its_generator() -> None:
    agent, generator = quoting(FakeRetriever(FOUND), cited("Cats sleep."), cited("Dogs run."), END)
    run = agent.run(ASK, FakeJournal())
    async for body in run:
        if isinstance(body, TextDelta):
            break
    await run.aclose()
    assert generator.closed == 1


async def test_a_language_model_reads_numbered_passages_and_cites_them() -> None:
    agent, generator = writing(FakeRetriever(FOUND), "Cats sleep", " [1", "]. Fish", " swim [2][9].")
    got, outcome = await played(agent, ASK)
    system, asked = generator.asked[0].messages
    assert declined("cats") in system.content
    assert "[1] T\nCats sleep. Dogs run." in asked.content
    assert asked.content.endswith("Question: why?")
    cites = [body for body in got if isinstance(body, CitationAdded)]
    assert [(one.citation.passage_id, answer(got)[one.answer_span.start : one.answer_span.end]) for one in cites] == [
        ("p", "Cats sleep"), ("q", "Fish swim"),
    ]  # fmt: skip
    assert outcome.reason is FinishReason.STOP
    assert cites[0].citation.quote == CATS.text


async def test_a_language_model_may_find_nothing() -> None:
    agent, _ = writing(FakeRetriever(FOUND), declined("cats"))
    assert (await played(agent, ASK))[1].reason is FinishReason.NO_ANSWER


async def test_without_passages_a_language_model_is_not_asked() -> None:
    agent, generator = writing(FakeRetriever(Found(())), "Cats!")
    got, outcome = await played(agent, ASK)
    assert (answer(got), outcome.reason, generator.asked) == (declined("cats"), FinishReason.NO_ANSWER, [])
