"""A collection whose data cannot be read takes nothing down but itself."""

import asyncio
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import grpc
import pytest
from headworks.retrieval.v1 import retrieval_service_pb2 as pb
from prometheus_client import REGISTRY

from services.retrieval.errors import CollectionBroken
from services.retrieval.model import CollectionKey
from services.retrieval.store.codec import tenant_name
from services.retrieval.store.folders import MARKER, OPENING
from services.retrieval.store.points import PointStore
from services.retrieval.store.qdrant_edge import EdgeEngine
from services.runtime.statuses import error_info
from tests.fakes.retrieval import Served, served
from tests.integration.retrieval.test_durability import environment

Damage = Callable[[Path], object]
DOCUMENTS = {f"{number}.txt": f"water number {number}" for number in range(30)}


def segment(collection: Path) -> Path:
    (found,) = (collection / "shard/segments").iterdir()
    return found


def write(path: Path, data: bytes) -> None:
    with path.open("r+b") as file:
        file.write(data)


def replace_by_folder(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    path.mkdir()


def replace_by_file(path: Path) -> None:
    shutil.rmtree(path)
    path.write_text("x")


def to_all(folder: Path, pattern: str, damage: Damage) -> None:
    found = list(folder.glob(pattern))
    assert found
    for path in found:
        damage(path)


def emptied(path: Path) -> None:
    os.truncate(path, 0)


NOISE = bytes(range(256)) * 256
DAMAGES: dict[str, Damage] = {
    "marker empty": lambda folder: os.truncate(folder / MARKER, 0),
    "marker garbage": lambda folder: write(folder / MARKER, NOISE),
    "marker of another kind": lambda folder: (folder / MARKER).write_text("[1]"),
    "marker without fields": lambda folder: (folder / MARKER).write_text('{"tenant": "acme"}'),
    "marker a folder": lambda folder: replace_by_folder(folder / MARKER),
    "marker that leads out": lambda folder: (folder / MARKER).write_text(
        '{"tenant": "acme", "max_chars": 1200, "create_time": 1, "shard": "../../other/good/shard", "indexed": 0}'
    ),
    "no shard": lambda folder: shutil.rmtree(folder / "shard"),
    "shard empty": lambda folder: replace_by_folder(folder / "shard"),
    "shard a file": lambda folder: replace_by_file(folder / "shard"),
    "no segments": lambda folder: shutil.rmtree(folder / "shard/segments"),
    "segment empty": lambda folder: replace_by_folder(segment(folder)),
    "config empty": lambda folder: os.truncate(folder / "shard/edge_config.json", 0),
    "config garbage": lambda folder: write(folder / "shard/edge_config.json", NOISE),
    "segment's state gone": lambda folder: (segment(folder) / "segment.json").unlink(),
    "segment's state garbage": lambda folder: write(segment(folder) / "segment.json", NOISE),
    "segment's version gone": lambda folder: (segment(folder) / "version.info").unlink(),
    "log empty": lambda folder: to_all(folder, "shard/wal/open-*", emptied),
    "log garbage": lambda folder: to_all(folder, "shard/wal/open-*", lambda path: write(path, NOISE)),
    "payload's page gone": lambda folder: (segment(folder) / "payload_storage/page_0.dat").unlink(),
    "payload's page garbage": lambda folder: write(segment(folder) / "payload_storage/page_0.dat", NOISE),
    "payload's page empty": lambda folder: os.truncate(segment(folder) / "payload_storage/page_0.dat", 0),
    "payload's tracker empty": lambda folder: os.truncate(segment(folder) / "payload_storage/tracker.dat", 0),
    "vectors empty": lambda folder: os.truncate(segment(folder) / "vector_storage-dense/vectors/chunk_0.mmap", 0),
    "vectors' status empty": lambda folder: os.truncate(segment(folder) / "vector_storage-dense/vectors/status.dat", 0),
    "index of a field empty": lambda folder: to_all(segment(folder), "payload_index/*/is_null/status.dat", emptied),
}


async def filled(folder: Path) -> Path:
    """The folder of the collection "bad", beside which there is "good"."""
    async with served(folder) as service:
        await service.ingest(DOCUMENTS, "bad")
        await service.ingest(DOCUMENTS, "good")
    return folder / "data/acme/bad"


async def refused(call: Awaitable[object]) -> tuple[grpc.StatusCode, str, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    info = error_info(caught.value)
    return caught.value.code(), info.reason if info else "", caught.value.details() or ""


async def states(service: Served) -> dict[str, str]:
    listed = await service.stub.ListCollections(pb.ListCollectionsRequest(), metadata=service.identity())
    return {each.name: each.broken or f"{each.document_count} documents" for each in listed.collections}


def gauge(collection: str) -> float | None:
    labels = {"tenant": "acme", "collection": collection}
    return REGISTRY.get_sample_value("headworks_retrieval_collection_broken", labels)


@pytest.mark.parametrize("damage", DAMAGES)
async def test_the_others_are_served_and_it_is_named_and_can_be_deleted(tmp_path: Path, damage: str) -> None:
    DAMAGES[damage](await filled(tmp_path))
    async with served(tmp_path) as service:
        assert (await service.search("water number 7", "good")).hits[0].passage.document_id == "7.txt"
        identity = service.identity()
        get = pb.GetDocumentRequest(collection="bad", document_id="1.txt")
        listing = pb.ListDocumentsRequest(collection="bad")
        calls: list[Callable[[], Awaitable[object]]] = [
            lambda: service.search("water", "bad"),
            lambda: service.ingest({}, "bad"),
            lambda: service.stub.GetDocument(get, metadata=identity),
            lambda: service.stub.ListDocuments(listing, metadata=identity),
        ]
        for call in calls:
            code, reason, message = await refused(call())
            assert (code, reason) == (grpc.StatusCode.FAILED_PRECONDITION, "COLLECTION_BROKEN")
            assert "'bad' is broken" in message
            assert str(tmp_path) not in message
        found = await states(service)
        assert found["good"] == "30 documents"
        assert found["bad"]
        assert "documents" not in found["bad"]
        assert (gauge("bad"), gauge("good")) == (1, None)
        create = pb.CreateCollectionRequest(name="bad")
        assert (await refused(service.stub.CreateCollection(create, metadata=identity)))[1] == "COLLECTION_EXISTS"

        await service.stub.DeleteCollection(pb.DeleteCollectionRequest(name="bad"), metadata=identity)
        assert gauge("bad") is None
        assert list(await states(service)) == ["good"]
        await service.ingest({"new.txt": "fresh land"}, "bad")
        assert (await service.search("fresh land", "bad")).hits[0].passage.document_id == "new.txt"
    async with served(tmp_path) as service:
        assert await states(service) == {"good": "30 documents", "bad": "1 documents"}


async def test_strange_things_in_the_folder_are_left_alone(tmp_path: Path) -> None:
    bad = await filled(tmp_path)
    root = tmp_path / "data"
    (root / "a file").write_text("x")
    (root / "lost+found").mkdir()
    (root / "acme/a file").write_text("x")
    (root / "acme/half-made/shard").mkdir(parents=True)
    (root / "acme/link").symlink_to("nowhere")
    (bad / "a folder of somebody's").mkdir()
    (bad / "shard/segments/foreign").mkdir()
    async with served(tmp_path) as service:
        assert await states(service) == {"bad": "30 documents", "good": "30 documents"}
        await service.ingest({"a.txt": "water"}, "half-made")
        assert (await states(service))["half-made"] == "1 documents"
    assert (bad / "a folder of somebody's").is_dir()


async def test_one_half_deleted_is_gone(tmp_path: Path) -> None:
    ((await filled(tmp_path)) / MARKER).unlink()
    async with served(tmp_path) as service:
        assert await states(service) == {"good": "30 documents"}
        await service.ingest({"a.txt": "water"}, "bad")
        assert (await states(service))["bad"] == "1 documents"


async def test_the_marker_of_a_tenant_with_an_odd_name_may_be_lost_too(tmp_path: Path) -> None:
    odd = "Acme Inc."
    async with served(tmp_path) as service:
        create = pb.CreateCollectionRequest(name="docs")
        await service.stub.CreateCollection(create, metadata=service.identity(odd))
    (tmp_path / "data" / tenant_name(odd) / "docs" / MARKER).write_bytes(b"")
    async with served(tmp_path) as service:
        identity = service.identity(odd)
        search = pb.SearchRequest(collection="docs", query="water")
        assert (await refused(service.stub.Search(search, metadata=identity)))[1] == "COLLECTION_BROKEN"
        await service.stub.DeleteCollection(pb.DeleteCollectionRequest(name="docs"), metadata=identity)
        await service.stub.CreateCollection(create, metadata=identity)


@pytest.fixture
def nobodys() -> Iterator[Path]:
    """A folder of somebody's to whom modes mean something; the test is that somebody."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        os.chown(name, 65534, 65534)
        os.seteuid(65534)
        try:
            yield Path(name)
        finally:
            os.seteuid(0)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become nobody")
@pytest.mark.parametrize("mode", [0o000, 0o444, 0o555])
@pytest.mark.parametrize("what", ["docs", "docs/shard", f"docs/{MARKER}"])
async def test_one_that_may_not_be_read_is_broken_and_can_be_deleted(nobodys: Path, what: str, mode: int) -> None:
    store = PointStore(EdgeEngine(nobodys, threads=1))
    for name in ("docs", "good"):
        await store.create(CollectionKey("acme", name), 1200)
    await store.aclose()
    (nobodys / "acme" / what).chmod(mode)
    again = PointStore(EdgeEngine(nobodys, threads=1))
    await again.recover()
    assert await again.collections("acme") == ["docs", "good"]
    assert (await again.describe(CollectionKey("acme", "good"))).document_count == 0
    if not (what.endswith(MARKER) and mode):
        with pytest.raises(CollectionBroken):
            await again.describe(CollectionKey("acme", "docs"))
    await again.drop(CollectionKey("acme", "docs"))
    assert not (nobodys / "acme/docs").exists()
    await again.create(CollectionKey("acme", "docs"), 1200)
    await again.aclose()


# Uses each collection of the store in DATA; the engine dies of SIGNAL when it opens a collection named "bad".
DYING = """
import asyncio, os, sys
from pathlib import Path
from services.retrieval.errors import CollectionBroken
from services.retrieval.model import CollectionKey
from services.retrieval.store.edge_shard import Shard
from services.retrieval.store.points import PointStore
from services.retrieval.store.qdrant_edge import EdgeEngine

load = Shard.load
def deadly(folder):
    if folder.parent.name == "bad":
        os.kill(os.getpid(), int(sys.argv[2]))
    return load(folder)
Shard.load = deadly

async def main():
    store = PointStore(EdgeEngine(Path(sys.argv[1]), threads=1))
    await store.recover()
    names = await store.collections("acme")
    for name in names:
        try:
            await store.describe(CollectionKey("acme", name))
        except CollectionBroken:
            assert name == "bad"
    print(names, flush=True)
    await store.aclose()

asyncio.run(main())
"""


async def open_dying(data: Path, number: int) -> tuple[int, str]:
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", DYING, str(data), str(number), stdout=asyncio.subprocess.PIPE, env=environment()
    )
    printed, _ = await child.communicate()
    return child.returncode or 0, printed.decode()


async def test_one_whose_opening_kills_the_process_is_set_aside_the_third_time(tmp_path: Path) -> None:
    await filled(tmp_path)
    for _ in range(2):
        assert await open_dying(tmp_path / "data", signal.SIGBUS) == (-signal.SIGBUS, "")
    assert await open_dying(tmp_path / "data", signal.SIGBUS) == (0, "['bad', 'good']\n")
    async with served(tmp_path) as service:
        assert (await service.search("water", "good")).hits
        assert (await states(service))["bad"] == "opening it ended the service 2 times"
        delete = pb.DeleteCollectionRequest(name="bad")
        await service.stub.DeleteCollection(delete, metadata=service.identity())
        await service.ingest({"a.txt": "water"}, "bad")
        assert (await states(service))["bad"] == "1 documents"


async def test_being_killed_while_opening_is_no_reason_yet(tmp_path: Path) -> None:
    bad = await filled(tmp_path)
    for _ in range(3):
        assert (await open_dying(tmp_path / "data", signal.SIGKILL))[0] == -signal.SIGKILL
        async with served(tmp_path) as service:
            assert (await states(service))["bad"] == "30 documents"
        assert not list(bad.glob(f"{OPENING}*"))
