"""A collection of the corpus on a mesh, and every question asked of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from headworks.retrieval.v1 import retrieval_service_pb2 as pb

from bench.documents.judge import Verdict, judge
from bench.documents.questions import Question
from bench.load import rpc
from bench.load.turns import in_turn

# So many documents are in one stream of an ingestion; so many passages are asked of a search.
BATCH, HITS = 40, 10
SENTENCES = 2
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
) -> Filled:
    """Replace the collection by one of these documents; those that cannot be read are left out."""
    await client.replace(collection, DEFAULT_CHARS)
    filled = Filled()
    for start in range(0, len(documents), batch):
        summary, failures = await client.ingest_readable(collection, documents[start : start + batch])
        filled.passages += summary.passages
        filled.failures |= failures
        say(f"{min(start + batch, len(documents))} of {len(documents)} documents, {filled.passages:,} passages")
    return filled


async def ask_all(
    client: rpc.MeshClient, collection: str, questions: Sequence[Question], concurrency: int
) -> list[Asked]:
    """Search and run for every question, in order."""
    passages = await _passages(client, collection, questions)

    async def ask(question: Question) -> Asked:
        found = await client.search(collection, question.text, pb.SEARCH_MODE_HYBRID, HITS)
        run = await client.ask(collection, question.text, SENTENCES)
        own = [passage for document in question.documents for passage in passages.get(document, ())]
        return Asked(judge(question, found, run, own), found, run)

    return await in_turn(questions, ask, concurrency)


async def _passages(
    client: rpc.MeshClient, collection: str, questions: Sequence[Question]
) -> Mapping[str, Sequence[rpc.Passage]]:
    """All passages of the documents that answer, by document; none of one that could not be read."""
    stored = await client.documents(collection)
    names = sorted({document for question in questions for document in question.documents} & stored)
    return {name: await client.passages(collection, name) for name in names}
