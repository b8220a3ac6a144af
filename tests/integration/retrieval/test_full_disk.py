"""A disk that fills up: writes are refused in time, reads go on, and all is well again once there is space."""

import asyncio
import errno
import gc
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from pathlib import Path

import grpc
import pytest
from headworks.retrieval.v1 import retrieval_service_pb2 as pb
from prometheus_client import REGISTRY

from services.retrieval.errors import CollectionBroken, StoreFull, StoreUnavailable
from services.retrieval.model import CollectionKey
from services.retrieval.store.engine import About, Where
from services.retrieval.store.faults import fault
from services.retrieval.store.qdrant_edge import EdgeEngine
from services.retrieval.store.space import OPENING, Space
from services.runtime.errors import DomainError
from services.runtime.statuses import error_info
from tests.fakes.retrieval import FakeEmbedder, Served, served
from tests.fakes.serving import until
from tests.integration.retrieval.test_durability import environment

DOCUMENTS = {"a.txt": "a dam holds water", "b.txt": "bread is baked"}
NO_DISK_HAS_THIS = 1 << 60


async def refused(call: Awaitable[object]) -> tuple[str, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    info = error_info(caught.value)
    return caught.value.code().name, info.reason if info else ""


FULL = ("RESOURCE_EXHAUSTED", "STORE_FULL")


async def test_below_the_floor_writes_are_refused_and_the_rest_goes_on(tmp_path: Path, embedder: FakeEmbedder) -> None:
    async with served(tmp_path) as service:
        await service.ingest(DOCUMENTS)
        await service.ingest(DOCUMENTS, "other")
        assert REGISTRY.get_sample_value("headworks_retrieval_store_full") == 0
    async with served(tmp_path, embedder, min_free_bytes=NO_DISK_HAS_THIS) as service:
        identity = service.identity()
        assert REGISTRY.get_sample_value("headworks_retrieval_store_full") == 1
        assert await refused(service.ingest({"c.txt": "new"})) == FULL
        assert await refused(service.ingest({"a.txt": "changed"})) == FULL
        assert await refused(service.ingest({"a.txt": "a dam holds water"}, uri="file:///moved")) == FULL
        assert await refused(service.ingest({}, "fresh")) == FULL
        create = pb.CreateCollectionRequest(name="fresh")
        assert await refused(service.stub.CreateCollection(create, metadata=identity)) == FULL

        assert (await service.search("dam water")).hits[0].passage.document_id == "a.txt"
        _, summary = await service.ingest(DOCUMENTS)
        assert summary.unchanged == 2
        _, summary = await service.ingest({"a.txt": DOCUMENTS["a.txt"]}, delete_missing=True)
        assert summary.deleted == 1
        delete = pb.DeleteDocumentRequest(collection="docs", document_id="a.txt")
        await service.stub.DeleteDocument(delete, metadata=identity)
        await service.stub.DeleteCollection(pb.DeleteCollectionRequest(name="other"), metadata=identity)
        listed = await service.stub.ListCollections(pb.ListCollectionsRequest(), metadata=identity)
        assert [(each.name, each.document_count, each.broken) for each in listed.collections] == [("docs", 0, "")]


async def test_the_reason_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(StoreFull, match=r"MiB left, less than the .* MiB needed.*Free some"):
        Space(tmp_path, NO_DISK_HAS_THIS).check()
    Space(tmp_path, 0).check(NO_DISK_HAS_THIS)
    Space(tmp_path, NO_DISK_HAS_THIS).check_opening()


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A disk of 256 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256m", "tmpfs", disk], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"this machine lets nobody mount: {mounted.stderr.strip()}")
    yield disk
    gc.collect()  # the errors of calls that were cancelled hold files
    ends = time.monotonic() + 30
    while subprocess.run(["umount", disk], check=False).returncode:  # a child that has just been killed may hold it
        assert time.monotonic() < ends, f"something still uses the disk: {users_of(disk)}"
        time.sleep(0.1)


def users_of(disk: Path) -> Mapping[str, Sequence[str]]:
    """What each process has of it: open files, mappings, its folder."""
    return {
        process.name: [
            f"{link.relative_to(process)} {link.readlink()}" for link in _links(process) if _is_in(link, disk)
        ]
        for process in Path("/proc").glob("[0-9]*")
        if any(_is_in(link, disk) for link in _links(process))
    }


def _links(process: Path) -> list[Path]:
    return [process / "cwd", process / "root", *process.glob("fd/*"), *process.glob("map_files/*")]


def _is_in(link: Path, disk: Path) -> bool:
    try:
        return link.readlink().is_relative_to(disk)
    except OSError:
        return False  # it has ended


def free(disk: Path) -> int:
    status = os.statvfs(disk)
    return status.f_bavail * status.f_frsize


# Serves the store in FOLDER with FLOOR, and ingests until that is refused. Then says what a search finds.
FILLING = """
import asyncio, os, sys
from pathlib import Path
import grpc
from tests.fakes.retrieval import served

async def main():
    async with served(Path(sys.argv[1]), min_free_bytes=int(sys.argv[2])) as service:
        await service.ingest({"first.txt": "a dam holds water"})
        number = 0
        try:
            while True:
                texts = {f"{number}.{part}.txt": os.urandom(60_000).hex() for part in range(8)}
                await service.ingest(texts)
                number += 1
        except grpc.aio.AioRpcError as error:
            print(error.code().name, flush=True)
        print([hit.passage.document_id for hit in (await service.search("dam water", limit=1)).hits], flush=True)

asyncio.run(main())
"""


async def fill(disk: Path, floor: int) -> tuple[int, list[str]]:
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", FILLING, str(disk), str(floor), stdout=asyncio.subprocess.PIPE, env=environment()
    )
    printed, _ = await child.communicate()
    return child.returncode or 0, printed.decode().split("\n")[:-1]


async def test_without_a_floor_the_kernel_ends_the_process(small: Path) -> None:
    assert (await fill(small, 0))[0] == -signal.SIGBUS


async def test_a_disk_that_fills_up(small: Path) -> None:
    floor = 48 << 20
    code, printed = await fill(small, floor)
    assert (code, printed) == (0, ["RESOURCE_EXHAUSTED", "['first.txt']"])
    assert floor // 2 < free(small) < floor + (8 << 20)  # its end gives back what logs and temporary files took
    with (small / "ballast").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(0, free(small) - floor) + (1 << 20))
    async with served(small, min_free_bytes=floor) as service:
        assert (await service.search("dam water", limit=1)).hits[0].passage.document_id == "first.txt"
        assert await refused(service.ingest({"new.txt": "new"})) == FULL


async def test_where_others_fill_the_disk_collections_wait_for_space_to_be_opened(small: Path) -> None:
    floor = 96 << 20
    async with served(small, min_free_bytes=floor) as service:
        await service.ingest(DOCUMENTS)
    ballast = small / "ballast"
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, free(small) - (OPENING >> 1))
    async with served(small, min_free_bytes=floor) as service:
        get = pb.GetDocumentRequest(collection="docs", document_id="a.txt")
        calls: list[Callable[[], Awaitable[object]]] = [
            lambda: service.search("dam"),
            lambda: service.ingest({}),
            lambda: service.stub.GetDocument(get, metadata=service.identity()),
        ]
        for call in calls:
            assert await refused(call()) == FULL
        assert "MiB left" in await broken(service)
        ballast.unlink()
        assert (await service.search("dam water")).hits[0].passage.document_id == "a.txt"
        await service.ingest({"new.txt": "new"})
        assert await broken(service) == ""


async def broken(service: Served) -> str:
    listed = await service.stub.ListCollections(pb.ListCollectionsRequest(), metadata=service.identity())
    return listed.collections[0].broken


async def test_deaths_on_a_full_disk_do_not_make_a_collection_broken(small: Path) -> None:
    floor = 96 << 20
    async with served(small, min_free_bytes=floor) as service:
        await service.ingest(DOCUMENTS)
    (small / "data/acme/docs/opening.1").touch()
    ballast = small / "ballast"
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, free(small) - (OPENING + (16 << 20)))
    for _ in range(3):
        async with served(small, min_free_bytes=floor) as service:
            assert await refused(service.search("dam")) == FULL
    ballast.unlink()
    async with served(small, min_free_bytes=floor) as service:
        assert (await service.search("dam water")).hits[0].passage.document_id == "a.txt"


async def test_what_does_not_fit_twice_is_not_indexed(small: Path, caplog: pytest.LogCaptureFixture) -> None:
    key = CollectionKey("acme", "docs")
    engine = EdgeEngine(small, threads=1, index_from=0, min_free=32 << 20)
    await engine.create(key, About(1200, 0.0))
    await engine.rest(key)
    await until(lambda: "indexes could not be brought up to date" in caplog.text)
    assert not (small / "acme/docs/shard1").exists()
    assert await engine.count(key, Where()) == 0
    await engine.aclose()


@pytest.mark.parametrize(
    ("error", "collection", "expected"),
    [
        (Exception("IO Error: No space left on device (os error 28)"), "docs", StoreFull),
        (OSError(errno.ENOSPC, "no space"), "docs", StoreFull),
        (Exception("Too many open files (os error 24)"), "docs", StoreUnavailable),
        (OSError(errno.ENOMEM, "no memory"), "docs", StoreUnavailable),
        (Exception("Failed to deserialize"), "docs", CollectionBroken),
        (OSError(errno.EACCES, "not allowed"), "docs", CollectionBroken),
        (Exception("Failed to deserialize"), "", StoreUnavailable),
    ],
)
def test_what_the_machine_is_short_of_breaks_no_collection(
    error: Exception, collection: str, expected: type[DomainError]
) -> None:
    assert type(fault(error, collection)) is expected
