"""The RAG agent: retrieve, build the context, generate, cite."""

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

from services.orchestrator.generate.generator import Ended, Generation, Generator, Piece
from services.orchestrator.rag.retriever import Found, Retriever
from services.orchestrator.runs.agent import Ask, Journal, Outcome
from services.orchestrator.runs.events import (
    Body,
    CitationAdded,
    FinishReason,
    PassageReference,
    PassagesRetrieved,
    Span,
    TextDelta,
    Timing,
    UsageReported,
)

DEFAULT_COLLECTION = "default"
PASSAGES = 3
SENTENCES = 2


def declined(collection: str) -> str:
    """What is said when nothing answers the question."""
    return f"I found no answer to that in the collection {collection!r}."


class RagAgent:
    """Answers from one collection, with a citation for each piece of the answer that has a source."""

    name = "rag"
    version = 1
    description = "Answers from a collection, quoting its passages, or says that they hold no answer."

    def __init__(self, retriever: Retriever, generator: Generator) -> None:
        self._retriever = retriever
        self._generator = generator

    async def run(self, ask: Ask, journal: Journal) -> AsyncGenerator[Body | Outcome, None]:
        started = time.monotonic()
        collection = ask.collection or DEFAULT_COLLECTION
        found = await self._retriever.search(collection, ask.question, ask.max_passages or PASSAGES)
        timings = [Timing("retrieval", time.monotonic() - started), *found.timings]
        yield _references(found)
        answered = False
        started = time.monotonic()
        generation = Generation(ask.messages, found=found, max_sentences=ask.max_sentences or SENTENCES)
        async with aclosing(_written(self._generator, generation)) as bodies:
            async for body in bodies:
                answered = answered or isinstance(body, TextDelta)
                yield body
        timings.append(Timing(self._generator.name, time.monotonic() - started))
        if not answered:
            yield TextDelta(declined(collection))
        yield Outcome(FinishReason.STOP if answered else FinishReason.NO_ANSWER, tuple(timings))


async def _written(generator: Generator, generation: Generation) -> AsyncGenerator[Body, None]:
    """The generator's pieces as events."""
    length = 0
    async with aclosing(generator.generate(generation)) as pieces:
        async for piece in pieces:
            match piece:
                case Piece(text, citation):
                    yield TextDelta(text)
                    start = length + len(text) - len(text.lstrip())
                    length += len(text)
                    if citation is not None:
                        yield CitationAdded(citation, Span(start, length))
                case Ended(_, tokens):
                    yield UsageReported(tokens.read, tokens.written)


def _references(found: Found) -> PassagesRetrieved:
    return PassagesRetrieved(
        tuple(
            PassageReference(passage.id, passage.document_id, passage.title, passage.score)
            for passage in found.passages
        )
    )
