"""A large collection: how fast it is written, what it takes, and how long searches take before and after its index is
built. Vectors are made up, so that the figures are the service's and the store's own."""

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from headworks.retrieval.v1 import retrieval_service_pb2 as pb
from headworks.retrieval.v1.collection_pb2 import PassageSettings
from headworks.retrieval.v1.retrieval_service_pb2_grpc import RetrievalServiceStub

from bench.ingest.passages import passages
from bench.kit import BenchError
from bench.kit.command import Say, execute, parser, positive
from bench.kit.figures import Latencies, share
from bench.kit.harness import Case, Figures, Results, Side, alternate
from bench.kit.report import Extra, Report
from bench.load.rpc import MAX_CHARS
from bench.load.turns import in_turn
from bench.load.worker import Worker
from bench.scale.service import Service, vector_of
from bench.xquad import corpus as xquad
from services.retrieval.store.qdrant_edge import INDEX_FROM

COLLECTION = "scale"
OWN, PEER = "retrieval", "numpy, vectors alone"
P50, P99, FOUND = "p50, ms", "p99, ms", "found first"
PER_DOCUMENT, LISTED_SHARE, GROUPS = 10, 0.1, 20
CALLERS = (1, 8)
SEED = 11
INGEST_SECONDS, SEARCH_SECONDS, INDEX_SECONDS, LOOK_SECONDS = 3600.0, 60.0, 3600.0, 1.0
REPORTED = 20_000
EXAMPLES = """\
  python -m bench.scale
  python -m bench.scale --passages 20000 --searches 100
  python -m bench.scale --json scale.json"""


@dataclass(frozen=True, slots=True)
class Held:
    """What is in the collection: each passage with a number that no other has. Documents are of PER_DOCUMENT passages;
    of a tenth of them only one of GROUPS groups may read each."""

    texts: Sequence[str]

    def code(self, number: int) -> str:
        return f"WF-M{number:06d}"

    def passage(self, number: int) -> str:
        return f"{self.texts[number]} Its number is {self.code(number)}."

    def group(self, document: int) -> str:
        """The group that alone may read the document; "" where all may."""
        return f"team-{document % GROUPS}" if document % round(1 / LISTED_SHARE) == 0 else ""

    def requests(self, say: Say) -> Iterator[pb.IngestRequest]:
        yield pb.IngestRequest(open=pb.IngestOpen(collection=COLLECTION))
        for first in range(0, len(self.texts), PER_DOCUMENT):
            numbers = range(first, min(first + PER_DOCUMENT, len(self.texts)))
            text = "\n\n".join(f"## Part {number}\n\n{self.passage(number)}" for number in numbers)
            document = first // PER_DOCUMENT
            groups = [group] if (group := self.group(document)) else []
            head = pb.IngestDocument(id=f"document-{document:06d}", media_type="text/markdown", access_groups=groups)
            yield pb.IngestRequest(document=head)
            yield pb.IngestRequest(chunk=text.encode())
            yield pb.IngestRequest(end=pb.IngestEnd())
            if first and first % REPORTED == 0:
                say(f"{first:,} of {len(self.texts):,} passages sent")


@dataclass(frozen=True, slots=True)
class Question:
    """A query, and words that the best passage has."""

    text: str
    wanted: str
    groups: tuple[str, ...] = ("everyone",)


@dataclass
class Client:
    """Calls the service."""

    service: Worker[Service]

    @asynccontextmanager
    async def stub(self) -> AsyncIterator[Any]:
        async with grpc.aio.insecure_channel(self.service.call(Service.address)) as channel:
            try:
                yield RetrievalServiceStub(channel)
            except grpc.aio.AioRpcError as error:
                raise BenchError(f"the service answered {error.code().name}: {error.details()}") from error

    async def ingest(self, held: Held, say: Say) -> float:
        """Seconds until all is acknowledged. Raises BenchError."""
        identity = self.service.call(Service.identity, tuple(f"team-{number}" for number in range(GROUPS)))
        settings = PassageSettings(max_chars=MAX_CHARS)
        async with self.stub() as stub:
            created = pb.CreateCollectionRequest(name=COLLECTION, passage_settings=settings)
            await stub.CreateCollection(created, metadata=identity, timeout=SEARCH_SECONDS)
            started = time.perf_counter()
            call = stub.Ingest(held.requests(say), metadata=identity, timeout=INGEST_SECONDS)
            summaries = [each.summary async for each in call if each.HasField("summary")]
            seconds = time.perf_counter() - started
        if not summaries or summaries[0].passages != len(held.texts):
            raise BenchError(f"{len(held.texts)} passages were sent, and this came of it: {summaries}")
        return seconds

    async def search(self, questions: Sequence[Question], callers: int) -> Figures:
        """So many at once, each with ten hits."""
        identities = {groups: self.service.call(Service.identity, groups) for groups in {q.groups for q in questions}}
        async with self.stub() as stub:

            async def ask(question: Question) -> tuple[float, bool]:
                request = pb.SearchRequest(collection=COLLECTION, query=question.text, limit=10)
                started = time.perf_counter()
                answer = await stub.Search(request, metadata=identities[question.groups], timeout=SEARCH_SECONDS)
                took = time.perf_counter() - started
                return took, bool(answer.hits) and question.wanted in answer.hits[0].passage.text

            await ask(questions[0])
            asked = await in_turn(questions, ask, callers)
        taken = Latencies.of([seconds for seconds, _ in asked])
        return {P50: taken.p50, P99: taken.p99, FOUND: share([found for _, found in asked])}


class Exact:
    """The peer: the same vectors in one array, each compared, in one process; no words, no filter, no texts."""

    def __init__(self, held: Held, say: Say) -> None:
        say("numpy: making the same vectors")
        self._vectors = np.stack([vector_of(held.passage(number)) for number in range(len(held.texts))])
        self._held = held

    def search(self, questions: Sequence[Question]) -> Figures:
        seconds, found = [], []
        for question in questions:
            query = vector_of(question.text)
            started = time.perf_counter()
            scores = self._vectors @ query
            best = np.argpartition(scores, -10)[-10:]
            first = int(best[np.argmax(scores[best])])
            seconds.append(time.perf_counter() - started)
            found.append(question.wanted in self._held.passage(first))
        taken = Latencies.of(seconds)
        return {P50: taken.p50, P99: taken.p99, FOUND: share(found)}


def measure(options: argparse.Namespace, say: Say) -> Report:
    """Start the service, fill it, search, wait for the index, search again. Raises BenchError."""
    corpus = xquad.load(options.data, "en")
    say(f"making {options.passages:,} passages")
    held = Held(passages(corpus, options.passages))
    kinds = _questions(held, options.searches)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="headworks-bench-", dir=options.folder)))
        service = stack.enter_context(Worker(partial(Service, folder)))
        client = Client(service)
        seconds = asyncio.run(client.ingest(held, say))
        ended = time.perf_counter()
        say(f"written in {seconds:.0f} s; searching before there is an index")
        before = [(f"before the index: {name}, 1 at once", client.search(asked[: len(asked) // 4 or 1], 1))
                  for name, asked in kinds.items()]  # fmt: skip
        unindexed = {name: asyncio.run(search) for name, search in before}
        built = _built(service, ended, say) if options.passages >= INDEX_FROM else 0.0
        exact = Exact(held, say)
        cases = [
            Case(
                f"{name}, {callers} at once",
                [
                    Side(OWN, partial(_run, client, asked, callers)),
                    *([Side(PEER, partial(exact.search, asked), peer=True)] if callers == 1 else []),
                ],
            )
            for name, asked in kinds.items()
            for callers in CALLERS
        ]
        results: Results = alternate(cases, options.rounds, say)
        facts = {
            "passages/s written, without embedding": options.passages / seconds,
            "seconds until the index was built": built,
            "MiB held (PSS)": service.call(Service.memory),
            "MiB on disk": service.call(Service.disk),
        }
    return Report(
        title=f"{options.passages:,} passages in one collection",
        cases=cases,
        results=results,
        goals=[],
        rounds=options.rounds,
        extras=[
            Extra("writing", ["figure", ""], [(name, [value]) for name, value in facts.items()]),
            Extra("while vectors are compared one by one", ["case", P50, P99, FOUND],
                  [(name, list(figures.values())) for name, figures in unindexed.items()]),
        ],
        notes=[
            "vectors are made up (the mean of words' vectors by chance): neither side waits for a model.",
            f"{PER_DOCUMENT} passages a document; a tenth of the documents may be read by one of {GROUPS} groups each.",
            f"{PEER}: compares each vector in one process; it has no words, filter or texts, and is no service.",
        ],
        facts={"figures": facts},
    )  # fmt: skip


def _run(client: Client, questions: Sequence[Question], callers: int) -> Figures:
    return asyncio.run(client.search(questions, callers))


def _built(service: Worker[Service], since: float, say: Say) -> float:
    """Seconds since then until the index is there. Raises BenchError."""
    say("waiting for the index")
    while not service.call(Service.indexed, COLLECTION):
        if time.perf_counter() - since > INDEX_SECONDS:
            raise BenchError(f"there is no index {INDEX_SECONDS:.0f} s after the last passage was written")
        time.sleep(LOOK_SECONDS)
    return time.perf_counter() - since


def _questions(held: Held, count: int) -> dict[str, list[Question]]:
    """So many of each kind, about passages that all may read, and of those that one group may."""
    chance = random.Random(SEED)
    open_to_all = [number for number in range(len(held.texts)) if not held.group(number // PER_DOCUMENT)]
    listed = [number for number in range(len(held.texts)) if held.group(number // PER_DOCUMENT)]

    def of(numbers: Sequence[int], text: Callable[[int], str], named: bool = False) -> list[Question]:
        return [
            Question(text(number), held.code(number), (held.group(number // PER_DOCUMENT),) if named else ("everyone",))
            for number in chance.choices(numbers, k=count)
        ]

    def words(number: int) -> str:
        """Eight of a passage's words, at random."""
        text = held.texts[number].split()
        return " ".join(chance.sample(text, min(len(text), 8)))

    def code(number: int) -> str:
        return f"What is known about {held.code(number)}?"

    return {
        "words": of(open_to_all, words),
        "a number": of(open_to_all, code),
        "a number, of a group": of(listed, code, named=True),
    }


def _options() -> argparse.Namespace:
    made = parser("scale", __doc__ or "", EXAMPLES, rounds=3)
    made.add_argument("--passages", type=positive, default=200_000, metavar="N", help="how many (200000)")
    made.add_argument("--searches", type=positive, default=200, metavar="N", help="of each kind, each round (200)")
    made.add_argument("--folder", type=Path, help="where the collection is written; by default the temporary folder")
    return made.parse_args()


if __name__ == "__main__":
    sys.exit(execute(_options(), measure))
