"""The RAG agent: retrieve, build the context, generate, cite."""

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

from services.orchestrator.generate.generator import Context, Generator, NoAnswer, Piece, Tokens
from services.orchestrator.rag.retriever import Found, Retriever
from services.orchestrator.runs.agent import Ask, Outcome
from services.orchestrator.runs.events import (
    Body,
    CitationAdded,
    PassageReference,
    PassagesRetrieved,
    Span,
    TextDelta,
    Timing,
    UsageReported,
)

SEPARATOR = " "


def declined(collection: str) -> str:
    """What is said when nothing answers the question."""
    return f"I found no answer to that in the collection {collection!r}."


class RagAgent:
    """Answers from one collection, with a citation for each piece of the answer that has a source."""

    description = "Answers from a collection, quoting its passages, or says that they hold no answer."

    def __init__(self, retriever: Retriever, generator: Generator) -> None:
        self._retriever = retriever
        self._generator = generator

    async def run(self, ask: Ask) -> AsyncGenerator[Body | Outcome, None]:
        started = time.monotonic()
        found = await self._retriever.search(ask.collection, ask.question, ask.max_passages)
        timings = [Timing("retrieval", time.monotonic() - started), *found.timings]
        yield _references(found)
        answered = False
        started = time.monotonic()
        async with aclosing(_written(self._generator, Context(ask.question, found, ask.max_sentences))) as bodies:
            async for body in bodies:
                answered = answered or isinstance(body, TextDelta)
                yield body
        timings.append(Timing(self._generator.name, time.monotonic() - started))
        if not answered:
            yield TextDelta(declined(ask.collection))
        yield Outcome(answered, tuple(timings))


async def _written(generator: Generator, context: Context) -> AsyncGenerator[Body, None]:
    """The generator's pieces as events, one space between them."""
    length = 0
    async with aclosing(generator.generate(context)) as pieces:
        async for piece in pieces:
            match piece:
                case Piece(text, citation):
                    separator = SEPARATOR if length else ""
                    yield TextDelta(separator + text)
                    start = length + len(separator)
                    length = start + len(text)
                    if citation is not None:
                        yield CitationAdded(citation, Span(start, length))
                case Tokens(read, written):
                    yield UsageReported(read, written)
                case NoAnswer():
                    pass


def _references(found: Found) -> PassagesRetrieved:
    return PassagesRetrieved(
        tuple(
            PassageReference(passage.id, passage.document_id, passage.title, passage.score)
            for passage in found.passages
        )
    )
