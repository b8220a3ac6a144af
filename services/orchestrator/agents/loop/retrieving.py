"""The step that searches with the question, before the model is asked."""

import asyncio
import time

from services.llm.chat import Role
from services.llm.tokens import estimate
from services.orchestrator.agents.loop import screening
from services.orchestrator.agents.loop.work import Bodies, Work
from services.orchestrator.domain.event import (
    PassageReference,
    PassagesRetrieved,
    StepFinished,
    StepKind,
    StepStarted,
)
from services.orchestrator.domain.passage import Found
from services.orchestrator.rag.compress import compress
from services.runtime.errors import InvalidArgument

QUESTION_LIMIT = 8192


def question_of(work: Work) -> str:
    """What the person asks: the last thing that they said."""
    for message in reversed(work.ask.messages):
        if message.role is Role.USER:
            return message.content.strip()
    return work.ask.question


async def retrieve(work: Work) -> Bodies:
    """Search, and tell what was found."""
    state = work.state
    number = state.open.number if state.open else state.steps + 1
    if state.open is None:
        yield StepStarted(number, StepKind.RETRIEVE)
    started = time.monotonic()
    if state.passages is None:
        work.found = await search(work)
        for verdict in screening.noted(work):
            yield verdict
        yield references(work.found)
    took = time.monotonic() - started
    yield StepFinished(number, StepKind.RETRIEVE, seconds=took, waited=work.hops["retrieval"])


async def search(work: Work) -> Found:
    """The passages for the question, of all collections that the run reads, without those that the guards drop."""
    question = question_of(work)
    if len(question) > QUESTION_LIMIT:
        raise InvalidArgument(
            f"the question has {len(question)} characters; the most is {QUESTION_LIMIT}", field="messages"
        )
    if not question:
        raise InvalidArgument("the question is empty", field="messages")
    started = time.monotonic()
    limit = work.ask.max_passages or work.spec.retrieval.max_passages
    retriever, names, only, rerank = work.kit.retriever, work.collections, work.filter(), work.spec.retrieval.rerank
    if len(names) == 1:
        found = await retriever.search(names[0], question, limit, only, rerank)
    else:
        searches = (retriever.search(name, question, limit, only, rerank) for name in names)
        found = _merged(await asyncio.gather(*searches), limit)
    work.hops["retrieval"] += time.monotonic() - started
    for timing in found.timings:
        work.hops[timing.hop] += timing.seconds
    screened = await screening.passages(work, found)
    most = work.spec.retrieval.passage_tokens
    # Quotes are chosen from all sentences.
    return screened if most is None or work.quotes else compress(question, screened, most)


async def search_again(work: Work) -> Found:
    """The same for a run that is picked up: what the guards say was told before."""
    found = await search(work)
    screening.noted(work)
    return found


def references(found: Found) -> PassagesRetrieved:
    return PassagesRetrieved(
        tuple(PassageReference(one.id, one.document_id, one.title, one.score) for one in found.passages),
        found.degraded,
        found.not_reranked,
        sum(estimate(one.text) - estimate(one.reading) for one in found.passages if one.shown is not None),
    )


def _merged(each: list[Found], limit: int) -> Found:
    """The best of several collections."""
    passages = sorted((one for found in each for one in found.passages), key=lambda one: -one.score)
    trust = max((found.trust for found in each if found.trust is not None), default=None)
    return Found(
        tuple(passages[:limit]),
        each[0].timings,
        any(found.degraded for found in each),
        trust,
        any(found.not_reranked for found in each),
    )
