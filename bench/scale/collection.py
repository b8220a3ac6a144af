"""The collections that are measured: what is in one, what is asked of it, and who calls."""

import random
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
from headworks.retrieval.v1 import retrieval_service_pb2 as pb
from headworks.retrieval.v1.collection_pb2 import PassageSettings
from headworks.retrieval.v1.retrieval_service_pb2_grpc import RetrievalServiceStub

from bench.kit import BenchError
from bench.kit.command import Say
from bench.kit.figures import Latencies, share
from bench.kit.harness import Figures
from bench.load.rpc import MAX_CHARS
from bench.load.turns import in_turn
from bench.load.worker import Worker
from bench.scale.service import Service

P50, P99, FOUND, CPU = "p50, ms", "p99, ms", "found first", "processor ms"
PER_DOCUMENT = 10
SEED = 11
INGEST_SECONDS, SEARCH_SECONDS, INDEX_SECONDS, LOOK_SECONDS = 3600.0, 60.0, 3600.0, 1.0
REPORTED = 20_000
EVERYONE = ("everyone",)


@dataclass(frozen=True, slots=True)
class Held:
    """What is in a collection: each passage with a number that no other has. Documents are of PER_DOCUMENT passages; of
    every so many, as `listed` says, the first may be read by one of `groups` groups alone; by all where it is 0."""

    texts: Sequence[str]
    collection: str
    listed: int
    groups: int

    def code(self, number: int) -> str:
        return f"WF-M{number:06d}"

    def passage(self, number: int) -> str:
        return f"{self.texts[number]} Its number is {self.code(number)}."

    def words(self, number: int, chance: random.Random) -> str:
        """Eight of a passage's words, at random."""
        text = self.texts[number].split()
        return " ".join(chance.sample(text, min(len(text), 8)))

    def about(self, number: int) -> str:
        return f"What is known about {self.code(number)}?"

    def group(self, number: int) -> str:
        """The group that alone may read the passage's document; "" where all may."""
        document = number // PER_DOCUMENT
        if not self.listed or document % self.listed:
            return ""
        return team(document // self.listed % self.groups)

    def requests(self, say: Say) -> Iterator[pb.IngestRequest]:
        yield pb.IngestRequest(open=pb.IngestOpen(collection=self.collection))
        for first in range(0, len(self.texts), PER_DOCUMENT):
            numbers = range(first, min(first + PER_DOCUMENT, len(self.texts)))
            text = "\n\n".join(f"## Part {number}\n\n{self.passage(number)}" for number in numbers)
            groups = [group] if (group := self.group(first)) else []
            name = f"document-{first // PER_DOCUMENT:06d}"
            yield pb.IngestRequest(
                document=pb.IngestDocument(id=name, media_type="text/markdown", access_groups=groups)
            )
            yield pb.IngestRequest(chunk=text.encode())
            yield pb.IngestRequest(end=pb.IngestEnd())
            if first and first % REPORTED == 0:
                say(f"{first:,} of {len(self.texts):,} passages sent")


def team(number: int) -> str:
    """The name of a group."""
    return f"team-{number}"


@dataclass(frozen=True, slots=True)
class Question:
    """A query, words that the best passage has, and the groups of who asks; None for who reads everything."""

    text: str
    wanted: str
    groups: tuple[str, ...] | None = EVERYONE


def questions(
    held: Held, numbers: Sequence[int], text: Callable[[int], str], count: int, chance: random.Random
) -> list[Question]:
    """So many, each about one of those passages, asked by the group that may read it."""
    chosen = chance.choices(numbers, k=count)
    return [
        Question(text(number), held.code(number), (group,) if (group := held.group(number)) else EVERYONE)
        for number in chosen
    ]


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
        identity = self.service.call(Service.identity, tuple(map(team, range(held.groups))))
        settings = PassageSettings(max_chars=MAX_CHARS)
        async with self.stub() as stub:
            created = pb.CreateCollectionRequest(name=held.collection, passage_settings=settings)
            await stub.CreateCollection(created, metadata=identity, timeout=SEARCH_SECONDS)
            started = time.perf_counter()
            call = stub.Ingest(held.requests(say), metadata=identity, timeout=INGEST_SECONDS)
            summaries = [each.summary async for each in call if each.HasField("summary")]
            seconds = time.perf_counter() - started
        if not summaries or summaries[0].passages != len(held.texts):
            raise BenchError(f"{len(held.texts)} passages were sent, and this came of it: {summaries}")
        return seconds

    async def search(self, collection: str, asked: Sequence[Question], callers: int) -> Figures:
        """So many at once, each with ten hits."""
        identities = {groups: self.service.call(Service.identity, groups) for groups in {q.groups for q in asked}}
        async with self.stub() as stub:

            async def ask(question: Question) -> tuple[float, bool]:
                request = pb.SearchRequest(collection=collection, query=question.text, limit=10)
                started = time.perf_counter()
                answer = await stub.Search(request, metadata=identities[question.groups], timeout=SEARCH_SECONDS)
                took = time.perf_counter() - started
                return took, bool(answer.hits) and question.wanted in answer.hits[0].passage.text

            await ask(asked[0])
            before = self.service.call(Service.processor)
            answers = await in_turn(asked, ask, callers)
            spent = self.service.call(Service.processor) - before
        taken = Latencies.of([seconds for seconds, _ in answers])
        found = share([found for _, found in answers])
        return {P50: taken.p50, P99: taken.p99, CPU: spent / len(asked) * 1000, FOUND: found}

    def built(self, collection: str, since: float, say: Say) -> float:
        """Seconds since then until the collection's index is there. Raises BenchError."""
        say(f"waiting for the index of {collection}")
        while not self.service.call(Service.indexed, collection):
            if time.perf_counter() - since > INDEX_SECONDS:
                raise BenchError(f"there is no index {INDEX_SECONDS:.0f} s after the last passage was written")
            time.sleep(LOOK_SECONDS)
        return time.perf_counter() - since
