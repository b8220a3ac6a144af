"""What an ingestion deletes at its end, and what it leaves alone whatever others do meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from headworks.retrieval.v1 import retrieval_service_pb2 as pb
from headworks.retrieval.v1.document_pb2 import Document
from qdrant_client import AsyncQdrantClient

from services.retrieval.ingest import lease
from services.retrieval.store.pgvector.engine import PgvectorEngine
from services.retrieval.store.points import PointStore
from services.retrieval.store.qdrant_server import ServerEngine
from tests.fakes.retrieval import FakeEmbedder, Served, served
from tests.fakes.serving import until

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore:Payload indexes have no effect in the local Qdrant"),
]

END = pb.IngestRequest(end=pb.IngestEnd())


def opening(**fields: Any) -> pb.IngestRequest:
    return pb.IngestRequest(open=pb.IngestOpen(collection="docs", create_collection=True, **fields))


def gone(document: Document) -> pb.IngestRequest:
    return pb.IngestRequest(gone=pb.IngestGone(id=document.id, update_time=document.update_time))


async def documents(service: Served) -> dict[str, Document]:
    request = pb.ListDocumentsRequest(collection="docs", page_size=1000)
    response = await service.stub.ListDocuments(request, metadata=service.identity())
    return {document.id: document for document in response.documents}


async def send(service: Served, *requests: pb.IngestRequest) -> pb.IngestSummary:
    responses = [each async for each in service.stub.Ingest(iter(requests), metadata=service.identity())]
    return responses[-1].summary


class Stream:
    """An ingestion whose messages are written one by one."""

    def __init__(self, service: Served) -> None:
        stub: Any = service.stub  # its stubs know streams of requests as iterators only
        self.call = stub.Ingest(metadata=service.identity())

    async def write(self, *requests: pb.IngestRequest) -> None:
        for request in requests:
            await self.call.write(request)

    async def document(self, document_id: str, text: str) -> pb.DocumentResult:
        """Send a document; its result, by which the stream is known to be under way."""
        head = pb.IngestRequest(document=pb.IngestDocument(id=document_id))
        await self.write(head, pb.IngestRequest(chunk=text.encode()), END)
        response = await self.call.read()
        found: pb.DocumentResult = response.result
        return found

    async def finish(self) -> pb.IngestSummary:
        await self.call.done_writing()
        response = await self.call.read()
        summary: pb.IngestSummary = response.summary
        return summary


@asynccontextmanager
async def edge(folder: Path) -> AsyncIterator[tuple[Served, Served]]:
    async with served(folder) as service:
        yield service, service


@asynccontextmanager
async def replicas(folder: Path) -> AsyncIterator[tuple[Served, Served]]:
    """Two that share a store, and nothing else."""
    client = AsyncQdrantClient(":memory:")
    async with (
        served(folder / "a", store=PointStore(ServerEngine(client))) as one,
        served(folder / "b", store=PointStore(ServerEngine(client))) as other,
    ):
        yield one, other


@asynccontextmanager
async def pgvector(folder: Path, url: str) -> AsyncIterator[tuple[Served, Served]]:
    """Two that share a database."""
    async with (
        served(folder / "a", store=PointStore(PgvectorEngine(url))) as one,
        served(folder / "b", store=PointStore(PgvectorEngine(url))) as other,
    ):
        yield one, other


@pytest.fixture(params=[edge, replicas, pgvector], ids=["edge", "replicas", "pgvector"])
async def services(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[Served, Served]]:
    made: Callable[..., Any] = request.param
    further = [request.getfixturevalue("pgvector_url")] if made is pgvector else []
    async with made(tmp_path, *further) as running:
        yield running


class TestGone:
    async def test_only_what_is_named_is_deleted(self, service: Served) -> None:
        await service.ingest({"a.txt": "water", "b.txt": "land", "c.txt": "sky"})
        listed = await documents(service)
        summary = await send(service, opening(delete_gone=True), gone(listed["b.txt"]))
        assert summary.deleted == 1
        assert set(await documents(service)) == {"a.txt", "c.txt"}
        assert "b.txt" not in {hit.passage.document_id for hit in (await service.search("land")).hits}

    async def test_one_written_since_it_was_listed_is_kept(self, service: Served) -> None:
        await service.ingest({"a.txt": "water", "b.txt": "land"})
        listed = await documents(service)
        await service.ingest({"b.txt": "new land"})
        summary = await send(service, opening(delete_gone=True), gone(listed["a.txt"]), gone(listed["b.txt"]))
        assert summary.deleted == 1
        assert set(await documents(service)) == {"b.txt"}

    async def test_one_that_is_sent_as_well_is_kept(self, service: Served) -> None:
        await service.ingest({"a.txt": "water"})
        listed = await documents(service)
        stream = Stream(service)
        await stream.write(opening(delete_gone=True), gone(listed["a.txt"]))
        assert (await stream.document("a.txt", "water")).outcome == pb.DocumentResult.OUTCOME_UNCHANGED
        assert (await stream.finish()).deleted == 0
        assert set(await documents(service)) == {"a.txt"}

    async def test_one_that_is_not_there_counts_for_nothing(self, service: Served) -> None:
        await service.ingest({"a.txt": "water"})
        nobody = pb.IngestRequest(gone=pb.IngestGone(id="z.txt", update_time=Timestamp(seconds=1)))
        assert (await send(service, opening(delete_gone=True), nobody)).deleted == 0

    async def test_a_stream_cut_short_deletes_nothing(self, service: Served) -> None:
        await service.ingest({"a.txt": "water"})
        listed = await documents(service)
        stream = Stream(service)
        await stream.write(opening(delete_gone=True), gone(listed["a.txt"]))
        await stream.document("b.txt", "land")
        stream.call.cancel()
        assert set(await documents(service)) == {"a.txt", "b.txt"}

    @pytest.mark.parametrize(
        "terms", [{}, {"delete_missing": True}, {"delete_missing": True, "delete_gone": True}], ids=str
    )
    async def test_it_is_named_only_where_that_was_announced(self, service: Served, terms: dict[str, bool]) -> None:
        message = pb.IngestRequest(gone=pb.IngestGone(id="a.txt"))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await send(service, opening(**terms), message)
        assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT


class TestTwoAtOnce:
    @pytest.mark.parametrize("terms", [{"delete_missing": True}, {"delete_gone": True}], ids=str)
    async def test_the_second_that_deletes_is_refused(
        self, services: tuple[Served, Served], terms: dict[str, bool]
    ) -> None:
        one, other = services
        await one.ingest({"a.txt": "water", "b.txt": "land"})
        first = Stream(one)
        await first.write(opening(delete_missing=True))
        await first.document("a.txt", "water")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await send(other, opening(**terms))
        assert caught.value.code() == grpc.StatusCode.ABORTED
        assert "under way" in (caught.value.details() or "")
        assert (await first.finish()).deleted == 1
        await send(other, opening(**terms))

    async def test_one_that_does_not_delete_goes_on_and_keeps_what_it_wrote(
        self, services: tuple[Served, Served]
    ) -> None:
        one, other = services
        await one.ingest({"old.txt": "old", "changed.txt": "before"})
        first = Stream(one)
        await first.write(opening(delete_missing=True))
        await first.document("a.txt", "water")
        await other.ingest({"b.txt": "land", "changed.txt": "after"})
        assert (await first.finish()).deleted == 1
        assert set(await documents(one)) == {"a.txt", "b.txt", "changed.txt"}

    async def test_one_that_was_cut_short_is_not_waited_for(self, services: tuple[Served, Served]) -> None:
        one, other = services
        first = Stream(one)
        await first.write(opening(delete_missing=True))
        await first.document("a.txt", "water")
        first.call.cancel()

        async def free() -> bool:
            try:
                await send(other, opening(delete_gone=True))
            except grpc.aio.AioRpcError:
                return False
            return True

        await until(free, 60)

    async def test_other_collections_are_others(self, service: Served) -> None:
        first = Stream(service)
        await first.write(opening(delete_missing=True))
        await first.document("a.txt", "water")
        results, _ = await service.ingest({"a.txt": "water"}, "notes", delete_missing=True)
        assert results["a.txt"].outcome == pb.DocumentResult.OUTCOME_CREATED
        assert (await first.finish()).created == 1

    async def test_a_long_one_keeps_its_right(
        self, tmp_path: Path, embedder: FakeEmbedder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(lease, "LEASE_SECONDS", 2.0)
        monkeypatch.setattr(lease, "RENEW_SECONDS", 0.1)
        async with served(tmp_path, embedder) as service:
            await service.ingest({"a.txt": "water"})
            first = Stream(service)
            await first.write(opening(delete_missing=True))
            await first.document("b.txt", "land")
            began = asyncio.get_running_loop().time()
            while asyncio.get_running_loop().time() < began + 2.5:
                with pytest.raises(grpc.aio.AioRpcError, match="under way"):
                    await send(service, opening(delete_missing=True))
            assert (await first.finish()).deleted == 1

    async def test_one_whose_right_ran_out_deletes_nothing(
        self, services: tuple[Served, Served], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(lease, "LEASE_SECONDS", 0.05)
        one, other = services
        await one.ingest({"a.txt": "water"})
        first = Stream(one)
        await first.write(opening(delete_missing=True))
        await first.document("b.txt", "land")

        async def expired() -> bool:
            try:
                await send(other, opening(delete_gone=True))
            except grpc.aio.AioRpcError:
                return False
            return True

        await until(expired, 60)
        await first.call.done_writing()
        assert await first.call.code() == grpc.StatusCode.ABORTED
        assert set(await documents(one)) == {"a.txt", "b.txt"}


async def test_the_right_of_a_process_that_died_goes_with_it(tmp_path: Path) -> None:
    from services.retrieval.model import CollectionKey
    from services.retrieval.store.qdrant_edge import EdgeEngine

    store = PointStore(EdgeEngine(tmp_path / "data", threads=1))
    await store.create(CollectionKey("acme", "docs"), 1200)
    await store.lease(CollectionKey("acme", "docs"), "dead", 3600)
    await store.aclose()
    async with served(tmp_path) as service:
        results, _ = await service.ingest({"a.txt": "water"}, delete_missing=True)
    assert results["a.txt"].outcome == pb.DocumentResult.OUTCOME_CREATED
