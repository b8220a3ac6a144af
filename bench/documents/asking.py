"""A collection of the corpus on a mesh, and every question asked of it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import grpc
from headworks.retrieval.v1 import retrieval_service_pb2 as pb

from bench.documents.judge import Verdict, judge
from bench.documents.questions import Question
from bench.kit import BenchError
from bench.load import rpc
from bench.load.turns import in_turn

T = TypeVar("T")

# So many documents are in one stream of an ingestion; so many passages are asked of a search.
BATCH, HITS = 40, 10
SENTENCES = 2
TRIES, PAUSE_SECONDS = 4, 3.0
DEFAULT_CHARS = 0


@dataclass
class Filled:
    """What became of the documents."""

    passages: int = 0
    failures: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Asked:
    """A question's verdict, and what it was judged by."""

    verdict: Verdict
    found: Sequence[rpc.Passage]
    run: rpc.RunAnswer


async def fill(
    client: rpc.MeshClient,
    collection: str,
    documents: Sequence[rpc.Document],
    say: Callable[[str], None],
    batch: int = BATCH,
    embedder: str = "",
) -> Filled:
    """Replace the collection by one of these documents; those that cannot be read are left out."""
    await client.replace(collection, DEFAULT_CHARS, embedder)
    filled = Filled()
    for start in range(0, len(documents), batch):
        sent = documents[start : start + batch]
        _, failures = await again(partial(client.ingest_readable, collection, sent))
        filled.failures |= failures
        filled.passages = await again(partial(client.count, collection))
        say(f"{start + len(sent)} of {len(documents)} documents, {filled.passages:,} passages")
    return filled


async def again(call: Callable[[], Awaitable[T]], pause: float = PAUSE_SECONDS) -> T:
    """Call; and again, some times, where a busy machine broke it off. Whatever is called may be called twice."""
    for _ in range(TRIES - 1):
        try:
            return await call()
        except (grpc.aio.AioRpcError, BenchError):
            await asyncio.sleep(pause)
    return await call()


async def ask_all(
    client: rpc.MeshClient, collection: str, questions: Sequence[Question], concurrency: int, rerank: int = 0
) -> list[Asked]:
    """Search and run for every question, in order."""
    passages = await _passages(client, collection, questions)

    async def ask(question: Question) -> Asked:
        found = await again(partial(client.search, collection, question.text, pb.SEARCH_MODE_HYBRID, HITS, rerank))
        run = await again(partial(client.ask, collection, question.text, SENTENCES))
        own = [passage for document in question.documents for passage in passages.get(document, ())]
        return Asked(judge(question, found, run, own), found, run)

    return await in_turn(questions, ask, concurrency)


async def _passages(
    client: rpc.MeshClient, collection: str, questions: Sequence[Question]
) -> Mapping[str, Sequence[rpc.Passage]]:
    """All passages of the documents that answer, by document; none of one that could not be read."""
    stored = await client.documents(collection)
    names = sorted({document for question in questions for document in question.documents} & stored)
    return {name: await again(partial(client.passages, collection, name)) for name in names}
