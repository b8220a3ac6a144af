"""Files that are ingested in the background: over restarts, taken back, and as whoever put them there."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from headworks.retrieval.v1 import (
    file_service_pb2,
    file_service_pb2_grpc,
    retrieval_service_pb2,
    vector_store_pb2,
    vector_store_service_pb2_grpc,
)
from headworks.retrieval.v1 import vector_store_service_pb2 as pb

from services.retrieval.errors import EmbedderUnavailable
from services.retrieval.store.folders import MARKER
from tests.fakes.retrieval import FakeEmbedder, Served, served
from tests.fakes.serving import until

pytestmark = pytest.mark.integration

Metadata = tuple[tuple[str, str], ...]
Status = vector_store_pb2.VectorStoreFile


@dataclass
class Client:
    """Puts files into vector stores, as one caller."""

    service: Served
    who: Metadata

    def __post_init__(self) -> None:
        assert self.service.channel is not None
        self.files = file_service_pb2_grpc.FileServiceStub(self.service.channel)
        self.stores = vector_store_service_pb2_grpc.VectorStoreServiceStub(self.service.channel)

    async def upload(self, name: str, text: str) -> str:
        requests = [
            file_service_pb2.CreateFileRequest(head=file_service_pb2.FileHead(filename=name)),
            file_service_pb2.CreateFileRequest(chunk=text.encode()),
            file_service_pb2.CreateFileRequest(purpose="assistants"),
        ]
        return (await self.files.CreateFile(iter(requests), metadata=self.who)).file.id

    async def create(self) -> str:
        made = await self.stores.CreateVectorStore(pb.CreateVectorStoreRequest(), metadata=self.who)
        return made.vector_store.id

    async def put(self, store: str, *files: str, groups: Sequence[str] = (), batch: bool = False) -> str:
        added = [pb.AddedFile(file_id=file, access_groups=groups) for file in files]
        request = pb.AddVectorStoreFilesRequest(vector_store_id=store, files=added, batch=batch)
        return (await self.stores.AddVectorStoreFiles(request, metadata=self.who)).batch.id

    async def status(self, store: str, file: str) -> int:
        request = pb.GetVectorStoreFileRequest(vector_store_id=store, file_id=file)
        return (await self.stores.GetVectorStoreFile(request, metadata=self.who)).file.status

    async def ends(self, store: str, file: str) -> int:
        """The status once it is not in progress any more."""

        async def ended() -> int:
            status = await self.status(store, file)
            return 0 if status == Status.STATUS_IN_PROGRESS else status

        found: int = await until(ended)
        return found

    async def found(self, store: str) -> set[str]:
        request = pb.SearchVectorStoreRequest(vector_store_id=store, query="water")
        response = await self.stores.SearchVectorStore(request, metadata=self.who)
        return {one.hit.passage.document_id for one in response.hits}


@asynccontextmanager
async def client(folder: Path, embedder: FakeEmbedder, who: Metadata = (), **settings: Any) -> AsyncIterator[Client]:
    async with served(folder, embedder, **settings) as service:
        yield Client(service, who or service.keys.metadata("acme", "ann"))


async def failure(call: Awaitable[object]) -> grpc.StatusCode:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code()


async def test_what_waits_outlives_its_process(tmp_path: Path) -> None:
    embedder = FakeEmbedder()
    embedder.gate.clear()
    async with client(tmp_path, embedder) as first:
        store = await first.create()
        files = [await first.upload(f"{number}.txt", f"water {number}") for number in range(3)]
        await first.put(store, *files)
        await until(lambda: embedder.batches)
        assert await first.status(store, files[0]) == Status.STATUS_IN_PROGRESS
    async with client(tmp_path, FakeEmbedder()) as second:
        for file in files:
            assert await second.ends(store, file) == Status.STATUS_COMPLETED
        assert await second.found(store) == set(files)


async def test_an_embedder_that_is_gone_for_a_while_is_waited_for(tmp_path: Path) -> None:
    embedder = FakeEmbedder()
    embedder.error = EmbedderUnavailable("it is gone")
    async with client(tmp_path, embedder) as one:
        store = await one.create()
        file = await one.upload("a.txt", "water")
        await one.put(store, file)
        await until(lambda: embedder.batches)
        assert await one.status(store, file) == Status.STATUS_IN_PROGRESS
        embedder.error = None
        assert await one.ends(store, file) == Status.STATUS_COMPLETED


async def test_a_batch_is_taken_back(tmp_path: Path) -> None:
    embedder = FakeEmbedder()
    embedder.gate.clear()
    async with client(tmp_path, embedder) as one:
        store = await one.create()
        file = await one.upload("a.txt", "water")
        batch = await one.put(store, file, batch=True)
        await until(lambda: embedder.batches)
        request = pb.CancelFileBatchRequest(vector_store_id=store, batch_id=batch)
        cancelled = (await one.stores.CancelFileBatch(request, metadata=one.who)).batch
        assert (cancelled.cancelled, cancelled.file_counts.cancelled) == (True, 1)
        embedder.gate.set()
        other = await one.upload("b.txt", "water")
        await one.put(store, other)
        assert await one.ends(store, other) == Status.STATUS_COMPLETED
        assert await one.status(store, file) == Status.STATUS_CANCELLED
        assert await one.found(store) == {other}


async def test_a_batch_that_is_taken_back_leaves_what_was_there_before(tmp_path: Path) -> None:
    embedder = FakeEmbedder()
    async with client(tmp_path, embedder) as one:
        store = await one.create()
        file = await one.upload("a.txt", "water")
        first = await one.put(store, file, batch=True)
        assert await one.ends(store, file) == Status.STATUS_COMPLETED
        ended = pb.CancelFileBatchRequest(vector_store_id=store, batch_id=first)
        batch = (await one.stores.CancelFileBatch(ended, metadata=one.who)).batch
        assert (batch.cancelled, batch.file_counts.completed) == (False, 1)
        for _ in range(3):  # before, while and after it is ingested anew
            again = await one.put(store, file, batch=True)
            request = pb.CancelFileBatchRequest(vector_store_id=store, batch_id=again)
            await one.stores.CancelFileBatch(request, metadata=one.who)
            other = await one.upload("b.txt", "water")
            await one.put(store, other)
            await one.ends(store, other)
            assert file in await one.found(store)


async def test_a_batch_is_its_readers_alone(tmp_path: Path) -> None:
    embedder = FakeEmbedder()
    embedder.gate.clear()
    async with client(tmp_path, embedder) as root:
        hilda = Client(root.service, root.service.keys.metadata("acme", "hilda", groups=("hr",)))
        ann = Client(root.service, root.service.keys.metadata("acme", "ann", groups=("eng",)))
        store = await hilda.create()
        hidden = await hilda.put(store, await hilda.upload("a.txt", "water"), groups=["hr"], batch=True)
        files = [await hilda.upload(name, "water") for name in ("b.txt", "c.txt")]
        added = [pb.AddedFile(file_id=files[1]), pb.AddedFile(file_id=files[0], access_groups=["hr"])]
        mixed = (
            await hilda.stores.AddVectorStoreFiles(
                pb.AddVectorStoreFilesRequest(vector_store_id=store, files=added, batch=True), metadata=hilda.who
            )
        ).batch.id
        named: dict[str, Any] = {"vector_store_id": store, "batch_id": hidden}
        for call in (
            ann.stores.GetFileBatch(pb.GetFileBatchRequest(**named), metadata=ann.who),
            ann.stores.CancelFileBatch(pb.CancelFileBatchRequest(**named), metadata=ann.who),
            ann.stores.ListVectorStoreFiles(pb.ListVectorStoreFilesRequest(**named), metadata=ann.who),
        ):
            assert await failure(call) is grpc.StatusCode.NOT_FOUND
        request = pb.CancelFileBatchRequest(vector_store_id=store, batch_id=mixed)
        cancelled = (await ann.stores.CancelFileBatch(request, metadata=ann.who)).batch
        assert (cancelled.file_counts.cancelled, cancelled.file_counts.in_progress) == (1, 0)
        assert await hilda.status(store, files[0]) == Status.STATUS_IN_PROGRESS
        behind = pb.ListVectorStoreFilesRequest(vector_store_id=store, after=files[0])
        assert (
            await failure(ann.stores.ListVectorStoreFiles(behind, metadata=ann.who)) is grpc.StatusCode.INVALID_ARGUMENT
        )
        embedder.gate.set()


async def test_attributes_of_headworks_own_are_nobodys_to_give(tmp_path: Path) -> None:
    async with client(tmp_path, FakeEmbedder()) as one:
        store, file = await one.create(), await one.upload("a.txt", "water")
        added = [pb.AddedFile(file_id=file, attributes={"headworks.source": vector_store_pb2.Attribute(text="x")})]
        request = pb.AddVectorStoreFilesRequest(vector_store_id=store, files=added)
        assert (
            await failure(one.stores.AddVectorStoreFiles(request, metadata=one.who)) is grpc.StatusCode.INVALID_ARGUMENT
        )
        await one.put(store, file)
        change = pb.UpdateVectorStoreFileRequest(
            vector_store_id=store, file_id=file, attributes={"headworks.x": vector_store_pb2.Attribute(text="x")}
        )
        assert (
            await failure(one.stores.UpdateVectorStoreFile(change, metadata=one.who))
            is grpc.StatusCode.INVALID_ARGUMENT
        )


async def test_a_file_that_is_taken_out_while_it_is_ingested_is_not_there(tmp_path: Path) -> None:
    embedder = FakeEmbedder()
    embedder.gate.clear()
    async with client(tmp_path, embedder) as one:
        store = await one.create()
        file, other = await one.upload("a.txt", "water"), await one.upload("b.txt", "water")
        await one.put(store, file)
        await until(lambda: embedder.batches)
        request = pb.DeleteVectorStoreFileRequest(vector_store_id=store, file_id=file)
        taking = asyncio.ensure_future(one.stores.DeleteVectorStoreFile(request, metadata=one.who))
        embedder.gate.set()
        await taking
        await one.put(store, other)
        assert await one.ends(store, other) == Status.STATUS_COMPLETED
        assert await one.found(store) == {other}


async def test_attributes_that_change_while_a_file_waits_its_turn_are_its_documents(tmp_path: Path) -> None:
    embedder = FakeEmbedder()
    embedder.gate.clear()
    async with client(tmp_path, embedder, max_documents_in_flight=1) as one:
        store = await one.create()
        files = [await one.upload(f"{number}.txt", f"water {number}") for number in range(3)]
        await one.put(store, *files)
        await until(lambda: embedder.batches)
        red = {"colour": vector_store_pb2.Attribute(text="red")}
        changes = [
            asyncio.ensure_future(
                one.stores.UpdateVectorStoreFile(
                    pb.UpdateVectorStoreFileRequest(vector_store_id=store, file_id=file, attributes=red),
                    metadata=one.who,
                )
            )
            for file in files
        ]
        # That of the file whose document is being written waits for it.
        await until(lambda: sum(change.done() for change in changes) == len(files) - 1)
        embedder.gate.set()
        await asyncio.gather(*changes)
        for file in files:
            assert await one.ends(store, file) == Status.STATUS_COMPLETED
            asked = retrieval_service_pb2.GetDocumentRequest(collection=store, document_id=file)
            document = (await one.service.stub.GetDocument(asked, metadata=one.who)).document
            assert document.metadata == {"colour": "red"}


async def test_a_collection_that_is_deleted_natively_takes_its_files_along(tmp_path: Path) -> None:
    async with client(tmp_path, FakeEmbedder()) as one:
        store = await one.create()
        file = await one.upload("a.txt", "water")
        await one.put(store, file)
        assert await one.ends(store, file) == Status.STATUS_COMPLETED
        deletion = retrieval_service_pb2.DeleteCollectionRequest(name=store)
        await one.service.stub.DeleteCollection(deletion, metadata=one.who)
        again = retrieval_service_pb2.CreateCollectionRequest(name=store)
        await one.service.stub.CreateCollection(again, metadata=one.who)
        request = pb.ListVectorStoreFilesRequest(vector_store_id=store)
        assert not (await one.stores.ListVectorStoreFiles(request, metadata=one.who)).files


async def test_a_file_is_ingested_as_who_put_it_there(tmp_path: Path) -> None:
    async with client(tmp_path, FakeEmbedder()) as root:
        keys = root.service.keys
        hr = Client(root.service, keys.metadata("acme", "hilda", groups=("hr",)))
        guest = Client(root.service, keys.metadata("acme", "gus", groups=("guests",)))
        store = await hr.create()
        file = await hr.upload("a.txt", "water")
        await hr.put(store, file, groups=["hr"])
        assert await hr.ends(store, file) == Status.STATUS_COMPLETED
        assert (await hr.found(store), await guest.found(store)) == ({file}, set())
        request = pb.GetVectorStoreFileRequest(vector_store_id=store, file_id=file)
        assert await failure(guest.stores.GetVectorStoreFile(request, metadata=guest.who)) is grpc.StatusCode.NOT_FOUND
        mine = await guest.upload("b.txt", "water")
        added = [pb.AddedFile(file_id=mine, access_groups=["hr"])]
        putting = pb.AddVectorStoreFilesRequest(vector_store_id=store, files=added)
        refused = guest.stores.AddVectorStoreFiles(putting, metadata=guest.who)
        assert await failure(refused) is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_list_of_what_is_in_progress_goes_on_behind_a_file_that_is_not_any_more(tmp_path: Path) -> None:
    embedder = FakeEmbedder()
    embedder.gate.clear()
    async with client(tmp_path, embedder, max_documents_in_flight=1) as one:
        store = await one.create()
        files = [await one.upload(f"{number}.txt", f"water {number}") for number in range(3)]
        batch = await one.put(store, files[0], batch=True)
        await one.put(store, *files[1:])

        def page(after: str) -> pb.ListVectorStoreFilesRequest:
            waiting = Status.STATUS_IN_PROGRESS
            return pb.ListVectorStoreFilesRequest(
                vector_store_id=store, page_size=1, after=after, ascending=True, status=waiting
            )

        first = await one.stores.ListVectorStoreFiles(page(""), metadata=one.who)
        assert [file.file_id for file in first.files] == files[:1]
        cancel = pb.CancelFileBatchRequest(vector_store_id=store, batch_id=batch)
        await one.stores.CancelFileBatch(cancel, metadata=one.who)
        second = await one.stores.ListVectorStoreFiles(page(files[0]), metadata=one.who)
        assert len(second.files) == 1
        assert second.files[0].file_id in files[1:]
        assert second.more
        unknown = one.stores.ListVectorStoreFiles(page("file-none"), metadata=one.who)
        assert await failure(unknown) is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_list_counts_each_stores_files_and_leaves_out_what_is_broken(tmp_path: Path) -> None:
    async with client(tmp_path, FakeEmbedder()) as root:
        hr = Client(root.service, root.service.keys.metadata("acme", "hilda", groups=("hr",)))
        full, other, broken = [await hr.create() for _ in range(3)]
        files = [await hr.upload(name, "water") for name in ("a.txt", "b.txt", "c.unknown")]
        await hr.put(full, files[0])
        await hr.put(full, files[1], files[2], groups=["hr"])
        await hr.put(other, files[2])
        ended = [await hr.ends(full, file) for file in files]
        assert ended == [Status.STATUS_COMPLETED, Status.STATUS_COMPLETED, Status.STATUS_FAILED]
        assert await hr.ends(other, files[2]) == Status.STATUS_FAILED
    (tmp_path / "data/acme" / broken / MARKER).write_bytes(b"")
    async with client(tmp_path, FakeEmbedder()) as root:
        for groups, expected in (
            (("hr",), {full: (2, 1, 10), other: (0, 1, 0)}),
            (("guests",), {full: (1, 0, 5), other: (0, 1, 0)}),
        ):
            one = Client(root.service, root.service.keys.metadata("acme", "ann", groups=groups))
            listed = (await one.stores.ListVectorStores(pb.ListVectorStoresRequest(), metadata=one.who)).vector_stores
            counts = {store.id: (store.file_counts, store.usage_bytes) for store in listed}
            assert {name: (of.completed, of.failed, used) for name, (of, used) in counts.items()} == expected
            for store in listed:
                request = pb.GetVectorStoreRequest(vector_store_id=store.id)
                assert (await one.stores.GetVectorStore(request, metadata=one.who)).vector_store == store


async def test_an_upload_that_is_cut_leaves_nothing(tmp_path: Path) -> None:
    async with client(tmp_path, FakeEmbedder()) as one:
        call: Any = one.files.CreateFile(metadata=one.who)  # type: ignore[call-arg]  # written to as it goes
        await call.write(file_service_pb2.CreateFileRequest(head=file_service_pb2.FileHead(filename="a.txt")))
        await call.write(file_service_pb2.CreateFileRequest(chunk=b"x" * (1 << 20)))
        call.cancel()
        listing = file_service_pb2.ListFilesRequest()
        assert not (await one.files.ListFiles(listing, metadata=one.who)).files
        whole = await one.upload("b.txt", "water")
        assert [file.id for file in (await one.files.ListFiles(listing, metadata=one.who)).files] == [whole]
