"""Collections that move from one embedder to another, over a channel and on the store's own engines."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import grpc
import pytest
from headworks.retrieval.v1 import collection_pb2
from headworks.retrieval.v1 import retrieval_service_pb2 as pb
from qdrant_client import AsyncQdrantClient

from services.retrieval.errors import EmbedderUnavailable
from services.retrieval.ingest import moves
from services.retrieval.model import CollectionKey, Index, Sentences, Span, Vector
from services.retrieval.store import codec
from services.retrieval.store.base import Target
from services.retrieval.store.engine import Point, Remove, Upsert, Where
from services.retrieval.store.folders import collection_files
from services.retrieval.store.pgvector.engine import PgvectorEngine
from services.retrieval.store.points import PointStore
from services.retrieval.store.qdrant_edge import EdgeEngine
from services.retrieval.store.qdrant_server import ServerEngine
from services.runtime.embedders import E5, MINILM
from services.runtime.language.script import Script
from tests.fakes.retrieval import FakeEmbedder, Served, served
from tests.fakes.serving import until

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore:Payload indexes have no effect in the local Qdrant"),
]

DOCUMENTS = {f"{number}.txt": f"Weir {number} regulates the flow." for number in range(20)}


class Backwards(FakeEmbedder):
    """Another embedder: its vectors are worth nothing beside those of the first one. It fails while `failures` last."""

    def __init__(self) -> None:
        super().__init__(spec=E5)
        self.failures = 0

    async def embed_query(self, text: str) -> Vector:
        return (await super().embed_query(text))[::-1].copy()

    async def embed_passages(
        self, texts: Sequence[str], spans: Sequence[Sequence[Span]]
    ) -> Sequence[tuple[Vector, Sentences]]:
        if self.failures:
            self.failures -= 1
            raise EmbedderUnavailable("the embedder is away")
        found = await super().embed_passages(texts, spans)
        return [(vector[::-1].copy(), sentences) for vector, sentences in found]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moves, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(moves, "GRACE_SECONDS", 0.0)


@pytest.fixture
def first() -> FakeEmbedder:
    return FakeEmbedder()


@pytest.fixture
def other() -> Backwards:
    return Backwards()


@pytest.fixture(params=["edge", "local", "pgvector"])
async def service(
    request: pytest.FixtureRequest, tmp_path: Path, first: FakeEmbedder, other: Backwards
) -> AsyncIterator[Served]:
    store = None
    if request.param == "local":
        store = PointStore(ServerEngine(AsyncQdrantClient(":memory:")))
    elif request.param == "pgvector":
        store = PointStore(PgvectorEngine(request.getfixturevalue("pgvector_url")))
    async with served(tmp_path, first, store, further=[other]) as running:
        await running.ingest(DOCUMENTS)
        yield running


async def reembed(service: Served, embedder: str) -> collection_pb2.Collection:
    request = pb.ReembedCollectionRequest(name="docs", embedder=embedder)
    return (await service.stub.ReembedCollection(request, metadata=service.identity())).collection


async def described(service: Served) -> collection_pb2.Collection:
    response = await service.stub.ListCollections(pb.ListCollectionsRequest(), metadata=service.identity())
    (found,) = [collection for collection in response.collections if collection.name == "docs"]
    return found


async def moved(service: Served) -> None:
    async def done() -> bool:
        return not (await described(service)).HasField("reembedding")

    await until(done)


async def nearest(service: Served, query: str) -> tuple[str, float]:
    (hit, *_) = (await service.search(query, mode=pb.SEARCH_MODE_DENSE)).hits
    return hit.passage.document_id, hit.signals[0].score


async def test_a_move_ends_with_all_documents_on_the_other_embedder(
    service: Served, first: FakeEmbedder, other: Backwards
) -> None:
    started = await reembed(service, E5.name)
    assert (started.embedder, started.reembedding.embedder) == (MINILM.name, E5.name)
    await moved(service)
    found = await described(service)
    assert (found.embedder, found.document_count, found.passage_count) == (E5.name, 20, 20)
    asked = len(first.queries)
    document, score = await nearest(service, DOCUMENTS["7.txt"])
    assert (document, len(first.queries)) == ("7.txt", asked)
    assert score == pytest.approx(E5.worth(1.0, Script.LATIN), abs=1e-3)
    await service.ingest({"new.txt": "A fish ladder."})
    assert (await nearest(service, "A fish ladder."))[0] == "new.txt"
    _, summary = await service.ingest(DOCUMENTS)
    assert summary.unchanged == 20
    await reembed(service, MINILM.name)
    await moved(service)
    assert ((await described(service)).embedder, (await nearest(service, "A fish ladder."))[0]) == (
        MINILM.name,
        "new.txt",
    )


async def test_searches_go_to_the_old_vectors_until_all_are_made(service: Served, other: Backwards) -> None:
    other.gate.clear()
    await reembed(service, E5.name)
    document, score = await nearest(service, DOCUMENTS["3.txt"])
    assert (document, round(score, 3)) == ("3.txt", 1.0)
    assert (await described(service)).reembedding.document_count == 0
    other.gate.set()
    await moved(service)
    assert (await nearest(service, DOCUMENTS["3.txt"]))[0] == "3.txt"


async def test_what_is_written_and_deleted_meanwhile_is_made_up_for(service: Served, other: Backwards) -> None:
    other.gate.clear()
    await reembed(service, E5.name)
    await until(lambda: bool(other.batches))
    await service.ingest({"3.txt": "A sluice gate instead.", "late.txt": "A spillway."})
    gone = pb.DeleteDocumentRequest(collection="docs", document_id="5.txt")
    await service.stub.DeleteDocument(gone, metadata=service.identity())
    other.gate.set()
    await moved(service)
    found = await described(service)
    assert (found.embedder, found.document_count) == (E5.name, 20)
    assert (await nearest(service, "A sluice gate instead."))[0] == "3.txt"
    assert (await nearest(service, "A spillway."))[0] == "late.txt"
    listed = await service.stub.ListDocuments(pb.ListDocumentsRequest(collection="docs"), metadata=service.identity())
    assert "5.txt" not in {document.id for document in listed.documents}


async def test_nothing_is_lost_of_what_is_written_all_the_while(service: Served, other: Backwards) -> None:
    async def write(number: int) -> None:
        await service.ingest({f"more-{number}.txt": f"Gauge {number} reads the level."})
        await service.ingest({f"more-{number}.txt": f"Gauge {number} reads the level again."})

    other.delay = 0.001
    await reembed(service, E5.name)
    await asyncio.gather(*(write(number) for number in range(12)))
    await moved(service)
    assert (await described(service)).document_count == 32
    for number in range(12):
        text = f"Gauge {number} reads the level again."
        document, score = await nearest(service, text)
        assert (document, round(score, 3)) == (f"more-{number}.txt", round(E5.worth(1.0, Script.LATIN), 3))


async def test_a_move_waits_for_an_embedder_that_is_away(service: Served, other: Backwards) -> None:
    other.failures = 3
    other.gate.clear()
    await reembed(service, E5.name)

    async def waits() -> bool:
        return (await described(service)).reembedding.waiting == "the embedder is away"

    await until(waits)
    other.gate.set()
    await moved(service)
    assert (await described(service)).embedder == E5.name


async def test_the_present_embedder_stops_a_move(service: Served, other: Backwards) -> None:
    other.gate.clear()
    await reembed(service, E5.name)
    stopped = await reembed(service, MINILM.name)
    assert (stopped.embedder, stopped.HasField("reembedding")) == (MINILM.name, False)
    assert (await nearest(service, DOCUMENTS["3.txt"]))[0] == "3.txt"
    other.gate.set()
    await reembed(service, E5.name)
    await moved(service)
    assert (await described(service)).embedder == E5.name


@pytest.mark.parametrize("call", ["create", "reembed"])
async def test_embedders_that_cannot_be_had_are_refused(service: Served, other: Backwards, call: str) -> None:
    async def asked(embedder: str) -> None:
        if call == "reembed":
            await reembed(service, embedder)
        else:
            request = pb.CreateCollectionRequest(name="other", embedder=embedder)
            await service.stub.CreateCollection(request, metadata=service.identity())

    async def refused(embedder: str) -> tuple[grpc.StatusCode, str]:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await asked(embedder)
        return caught.value.code(), caught.value.details() or ""

    code, words = await refused("e6")
    assert (code, "there is no embedder 'e6'" in words) == (grpc.StatusCode.INVALID_ARGUMENT, True)
    other.error = EmbedderUnavailable("not loaded")
    code, words = await refused(E5.name)
    assert (code, "HEADWORKS_MODELS_EMBEDDERS" in words) == (grpc.StatusCode.FAILED_PRECONDITION, True)


async def test_a_collection_is_made_for_the_embedder_that_is_named(service: Served, first: FakeEmbedder) -> None:
    request = pb.CreateCollectionRequest(name="other", embedder=E5.name)
    created = await service.stub.CreateCollection(request, metadata=service.identity())
    assert created.collection.embedder == E5.name
    before = len(first.batches)
    await service.ingest({"a.txt": "A weir."}, "other")
    found = await service.search("Ein weir im Fluß?", "other")
    assert (found.hits[0].passage.document_id, len(first.batches)) == ("a.txt", before)
    assert found.language_trust == 1


async def test_a_move_goes_on_after_a_restart(tmp_path: Path) -> None:
    other = Backwards()
    other.gate.clear()
    async with served(tmp_path, further=[other]) as service:
        await service.ingest(DOCUMENTS)
        await reembed(service, E5.name)
        await until(lambda: bool(other.batches))
    async with served(tmp_path, further=[Backwards()]) as service:
        await moved(service)
        found = await described(service)
        assert (found.embedder, found.document_count) == (E5.name, 20)
        assert (await nearest(service, DOCUMENTS["7.txt"]))[0] == "7.txt"
    async with served(tmp_path, further=[Backwards()]) as service:
        assert (await nearest(service, DOCUMENTS["7.txt"]))[0] == "7.txt"
    folder = tmp_path / "data/acme/docs"
    assert sorted(path.name for path in folder.iterdir()) == ["collection.json", "generation1"]
    copied = {path.relative_to(folder).parts[0] for path in collection_files(folder)}
    assert copied == {"collection.json", "generation1"}


class Paused(PointStore):
    """Waits before the switch, when all that was there is made up for."""

    def __init__(self, engine: EdgeEngine) -> None:
        super().__init__(engine)
        self.engine = engine
        self.filled, self.go_on = asyncio.Event(), asyncio.Event()

    async def rest(self, key: Target) -> None:
        await super().rest(key)
        if isinstance(key, Index):
            self.filled.set()
            await self.go_on.wait()


async def test_what_is_written_in_the_last_moment_is_there_after_the_switch(tmp_path: Path) -> None:
    store = Paused(EdgeEngine(tmp_path / "data", threads=2))
    async with served(tmp_path, store=store, further=[Backwards()]) as service:
        await service.ingest(DOCUMENTS)
        await reembed(service, E5.name)
        await store.filled.wait()
        await service.ingest({"3.txt": "A sluice gate instead.", "late.txt": "A spillway."})
        store.go_on.set()
        await moved(service)
        assert (await described(service)).document_count == 21
        assert (await nearest(service, "A sluice gate instead."))[0] == "3.txt"
        assert (await nearest(service, "A spillway."))[0] == "late.txt"


async def test_what_another_replica_does_to_the_old_index_in_that_moment_is_made_up_for(tmp_path: Path) -> None:
    class Raced(Paused):
        async def switch(self, index: Index) -> None:
            old = (await self.current(index.key.whole)).key
            await super().switch(index)
            await self.engine.apply(old, [Remove(where=Where([("document_id", ["5.txt"])]))])
            record = replace(document, id="late.txt", content_hash="late", update_time=datetime.now(UTC))
            await self.engine.apply(old, [Upsert([Point(codec.record_id("late.txt"), codec.document_payload(record))])])

    store = Raced(EdgeEngine(tmp_path / "data", threads=2))
    store.go_on.set()
    async with served(tmp_path, store=store, further=[Backwards()]) as service:
        await service.ingest(DOCUMENTS)
        found = await store.document(CollectionKey("acme", "docs"), "3.txt")
        assert found is not None
        document = replace(found, passage_count=0)
        await reembed(service, E5.name)
        await moved(service)
        await until(lambda: not (tmp_path / "data/acme/docs/shard").exists())
        listed = await service.stub.ListDocuments(
            pb.ListDocumentsRequest(collection="docs"), metadata=service.identity()
        )
        ids = {one.id for one in listed.documents}
        assert ("late.txt" in ids, "5.txt" in ids, "3.txt" in ids) == (True, False, True)


async def test_a_move_that_is_asked_for_while_the_last_one_is_tidied_up_is_made_too(
    service: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moves, "GRACE_SECONDS", 0.3)
    await reembed(service, E5.name)
    await moved(service)
    await reembed(service, MINILM.name)
    await moved(service)
    assert (await described(service)).embedder == MINILM.name
