"""Backups of a data directory that is being written to, and what is restored of them."""

import asyncio
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path

import numpy as np
import pytest

from gateway.schema.schema import SCHEMA as GATEWAY
from infra.backup.archive import ArchiveReader
from infra.backup.errors import BackupFailed, BadBackup
from infra.backup.places import Places, find_places
from infra.backup.restore import check, restore
from infra.backup.save import Saved, save
from infra.local.keys import make_keys
from infra.local.layout import Layout
from infra.local.lock import DirectoryLock
from infra.local.options import make_options
from services.orchestrator.schema.schema import SCHEMA as ORCHESTRATOR
from services.retrieval.model import WIDTH, CollectionKey
from services.retrieval.store.engine import About, Point, Upsert, Where
from services.retrieval.store.qdrant_edge import EdgeEngine
from services.runtime import data_format
from services.runtime.records.database import Database

KEY = CollectionKey("acme", "notes")
BATCH = 16
KILLED = """
import os, signal, sys
from pathlib import Path
from infra.backup import {module}
def killed(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)
{module}.{what} = killed
"""
SAVE = """
from infra.backup.places import find_places
from infra.local.options import make_options
save.save(find_places(make_options(Path(sys.argv[1]), None, {}, None, {})), Path(sys.argv[2]), lambda *_: None)
"""
RESTORE = """
restore.restore(Path(sys.argv[2]), Path(sys.argv[1]), lambda _: None, replace=True)
"""


def places(root: Path, environ: Mapping[str, str] | None = None) -> Places:
    return find_places(make_options(root, None, {}, None, environ or {}))


def saved(root: Path, target: Path, **more: bool) -> Saved:
    return save(places(root), target, lambda *_: None, **more)


def restored(file: Path, root: Path, replace: bool = False) -> Path | None:
    return restore(file, root, lambda _: None, replace).replaced


@pytest.fixture
async def root(tmp_path: Path) -> Path:
    """A data directory as a mesh leaves it: keys, records, a collection without anything in it."""
    layout = Layout(tmp_path / "mesh")
    layout.make()
    data_format.mark(layout.root)
    make_keys(layout)
    for schema, name in ((GATEWAY, "gateway/records.db"), (ORCHESTRATOR, "orchestrator/runs.db")):
        database = Database(f"sqlite:///{layout.root / name}", schema)
        await database.open()
        await database.aclose()
    async with engine(layout.root) as store:
        await store.create(KEY, About(1200, 1.0))
    return layout.root


@asynccontextmanager
async def engine(root: Path) -> AsyncIterator[EdgeEngine]:
    store = EdgeEngine(root / "retrieval", 2)
    try:
        yield store
    finally:
        await store.aclose()


def batch(number: int) -> list[Upsert]:
    vector = np.ones(WIDTH, np.float32)
    return [Upsert([Point(f"{number * BATCH + at:032x}", {"kind": "passage", "batch": number}, vector)
                    for at in range(BATCH)])]  # fmt: skip


async def batches_in(root: Path) -> dict[int, int]:
    """The points of each batch in a store that nobody else has open."""
    counts: dict[int, int] = {}
    async with engine(root) as store:
        for _, payload in await store.scroll(KEY, Where()):
            counts[payload["batch"]] = counts.get(payload["batch"], 0) + 1
    return counts


def files_below(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*")
            if path.is_file() and path.stat().st_size < 1 << 20}  # fmt: skip


def listed(folder: Path) -> list[Path]:
    return list(folder.iterdir())


async def test_what_was_saved_is_restored_and_its_owners_alone(root: Path, tmp_path: Path) -> None:
    async with engine(root) as store:
        await store.apply(KEY, batch(0))
    made = saved(root, tmp_path / "b.tar")
    assert stat.S_IMODE(made.file.stat().st_mode) == 0o600
    assert made.manifest.collections == 1
    assert made.manifest.data == data_format.DataFormat(data_format.FORMAT, data_format.product_version())
    os.umask(os.umask(0o022))
    other = tmp_path / "other"
    assert restored(made.file, other) is None
    for name in ("dev.key", "keys.json", "identity/private.pem", "identity/public.pem", "format.json"):
        assert (other / name).read_bytes() == (root / name).read_bytes()
    modes = {stat.S_IMODE(path.stat().st_mode) for path in other.rglob("*") if path.is_file()}
    assert modes == {0o600}
    assert {stat.S_IMODE(path.stat().st_mode) for path in (other, *other.rglob("*")) if path.is_dir()} == {0o700}
    assert await batches_in(other) == {0: BATCH}
    for schema, name in ((GATEWAY, "gateway/records.db"), (ORCHESTRATOR, "orchestrator/runs.db")):
        database = Database(f"sqlite:///{other / name}", schema)
        await database.open()
        await database.aclose()


@contextmanager
def inserting(database: Path) -> Iterator[threading.Event]:
    """Two rows in each transaction, as fast as it goes; the event is set once there are some."""
    begun, stop = threading.Event(), threading.Event()

    def insert() -> None:
        with closing(sqlite3.connect(database, timeout=60, isolation_level=None)) as connection:
            number = 0
            while not stop.is_set():
                connection.execute("BEGIN IMMEDIATE")
                for half in (0, 1):
                    connection.execute("INSERT INTO pairs VALUES (?, ?, ?)", (number, half, os.urandom(300)))
                connection.execute("COMMIT")
                number += 1
                if number == 50:
                    begun.set()

    with closing(sqlite3.connect(database)) as connection:
        connection.execute("CREATE TABLE pairs (number INTEGER, half INTEGER, data BLOB)")
        connection.commit()
    thread = threading.Thread(target=insert)
    thread.start()
    try:
        yield begun
    finally:
        stop.set()
        thread.join()


async def test_a_backup_under_load_has_each_part_as_it_was_at_one_moment(root: Path, tmp_path: Path) -> None:
    """Batches are whole, without a gap, and none is missing that was there before; pairs are pairs."""
    async with engine(root) as store:
        written, stop = 0, asyncio.Event()

        async def write() -> None:
            nonlocal written
            while not stop.is_set():
                await store.apply(KEY, batch(written))
                written += 1

        with inserting(root / "gateway/records.db") as begun:
            writing = asyncio.create_task(write())
            assert await asyncio.to_thread(begun.wait, 60)
            while not written:
                await asyncio.sleep(0.01)
            before = written
            made = await asyncio.to_thread(saved, root, tmp_path / "b.tar")
            after_saving = written
            while written <= after_saving:  # those who waited go on
                await asyncio.sleep(0.01)
            stop.set()
            await writing
    restored(made.file, tmp_path / "other")
    counts = await batches_in(tmp_path / "other")
    assert set(counts.values()) == {BATCH}
    assert sorted(counts) == list(range(len(counts)))
    assert len(counts) >= before
    with closing(sqlite3.connect(tmp_path / "other/gateway/records.db")) as connection:
        halves = dict(connection.execute("SELECT number, count(*) FROM pairs GROUP BY number").fetchall())
    assert set(halves.values()) == {2}
    assert sorted(halves) == list(range(len(halves)))
    assert len(halves) >= 50


async def test_collections_that_come_and_go_meanwhile_do_no_harm(root: Path, tmp_path: Path) -> None:
    async with engine(root) as store:
        stop = asyncio.Event()

        async def come_and_go() -> None:
            other = CollectionKey("acme", "brief")
            while not stop.is_set():
                await store.create(other, About(1200, 1.0))
                await store.apply(other, batch(0))
                await store.drop(other)

        coming = asyncio.create_task(come_and_go())
        for number in range(3):
            made = await asyncio.to_thread(saved, root, tmp_path / f"{number}.tar")
            check(made.file, lambda _: None)
        stop.set()
        await coming


async def test_a_folder_gets_files_with_names_of_their_own(root: Path, tmp_path: Path) -> None:
    (tmp_path / "backups").mkdir()
    made = saved(root, tmp_path / "backups")
    assert made.file.parent == tmp_path / "backups"
    assert listed(tmp_path / "backups") == [made.file]


async def test_another_file_is_not_written_over(root: Path, tmp_path: Path) -> None:
    (tmp_path / "letter").write_text("dear")
    with pytest.raises(BackupFailed, match="is there, and is no backup"):
        saved(root, tmp_path / "letter")
    assert (tmp_path / "letter").read_text() == "dear"
    first = saved(root, tmp_path / "b.tar")
    assert saved(root, tmp_path / "b.tar").manifest.time >= first.manifest.time


def killed(module: str, what: str, then: str, *arguments: Path) -> None:
    code = KILLED.format(module=module, what=what) + then
    ended = subprocess.run([sys.executable, "-c", code, *arguments], timeout=120, check=False)
    assert ended.returncode == -signal.SIGKILL


@pytest.mark.parametrize("what", ["snapshot", "Manifest", "sync_folder"])
async def test_a_backup_that_was_killed_leaves_nothing_that_looks_complete(
    root: Path, tmp_path: Path, what: str
) -> None:
    target = tmp_path / "backups" / "b.tar"
    target.parent.mkdir()
    await asyncio.to_thread(killed, "save", what, SAVE, root, target)
    if what != "sync_folder":
        assert not target.exists()
        for left in listed(target.parent):
            with pytest.raises(BadBackup):
                ArchiveReader(left)
    made = saved(root, target)
    check(made.file, lambda _: None)
    assert listed(target.parent) == [target]


async def test_a_backup_that_fails_leaves_the_one_before(root: Path, tmp_path: Path) -> None:
    target = tmp_path / "b.tar"
    saved(root, target)
    before = target.read_bytes()
    (root / "gateway/records.db").write_bytes(b"no database" * 1000)
    with pytest.raises(BackupFailed, match="not a database"):
        saved(root, target)
    assert target.read_bytes() == before
    assert not [path for path in listed(tmp_path) if path.name.startswith(".")]


async def test_a_damaged_backup_is_refused_before_anything_is_written(root: Path, tmp_path: Path) -> None:
    target = tmp_path / "b.tar"
    saved(root, target)
    data = bytearray(target.read_bytes())
    at = data.index((root / "dev.key").read_bytes())
    data[at] ^= 1
    target.write_bytes(data)
    with pytest.raises(BadBackup, match=r"dev\.key is not what was saved"):
        restored(target, tmp_path / "other")
    with pytest.raises(BadBackup, match=r"dev\.key is not what was saved"):
        check(target, lambda _: None)
    assert not [path for path in listed(tmp_path) if "other" in path.name]


async def test_data_is_not_written_over_unless_that_is_said(root: Path, tmp_path: Path) -> None:
    target = tmp_path / "b.tar"
    saved(root, target)
    other = tmp_path / "other"
    other.mkdir()
    (other / "precious").write_text("mine")
    with pytest.raises(BackupFailed, match="is not empty"):
        restored(target, other)
    assert files_below(other) == {"precious": b"mine"}
    replaced = restored(target, other, replace=True)
    assert replaced is not None
    assert files_below(replaced)["precious"] == b"mine"
    assert (other / "dev.key").is_file()
    (tmp_path / "empty").mkdir()
    restored(target, tmp_path / "empty")
    assert (tmp_path / "empty" / "dev.key").is_file()


@pytest.mark.parametrize("replace", [False, True])
async def test_the_data_of_a_running_mesh_stays(root: Path, tmp_path: Path, replace: bool) -> None:
    saved(root, tmp_path / "b.tar")
    lock = DirectoryLock(Layout(root).lock)
    lock.take()
    try:
        before = files_below(root)
        with pytest.raises(BackupFailed, match="a mesh is running on"):
            restored(tmp_path / "b.tar", root, replace)
        assert files_below(root) == before
    finally:
        lock.release()


@pytest.mark.parametrize("what", ["_write_all", "sync_folder"])
async def test_a_restoration_that_was_killed_changes_nothing_and_can_be_made_again(
    root: Path, tmp_path: Path, what: str
) -> None:
    saved(root, tmp_path / "b.tar")
    before = files_below(root)
    await asyncio.to_thread(killed, "restore", what, RESTORE, root, tmp_path / "b.tar")
    assert files_below(root) == before
    assert restored(tmp_path / "b.tar", root, replace=True) is not None
    assert not [path for path in listed(tmp_path) if path.name.endswith("restoring")]


@pytest.mark.parametrize("replace", [False, True])
async def test_data_of_a_newer_version_is_neither_saved_nor_restored(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, replace: bool
) -> None:
    saved(root, tmp_path / "b.tar")
    monkeypatch.setattr(data_format, "FORMAT", data_format.FORMAT - 1)
    with pytest.raises(BackupFailed, match=r"data format 2.*Install .* or later"):
        restored(tmp_path / "b.tar", tmp_path / "other", replace)
    with pytest.raises(BackupFailed, match=r"data format 2.*Install .* or later"):
        saved(root, tmp_path / "c.tar")
    assert not (tmp_path / "c.tar").exists()
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"HEADWORKS_GATEWAY_RECORDS_URL": "postgresql://me:secret@db/gw"}, "pg_dump.*'postgresql://me:[*]+@db/gw'"),
        ({"HEADWORKS_ORCHESTRATOR_RECORDS_URL": "postgresql://db/runs"}, "the records of orchestrator are in Postgre"),
        ({"HEADWORKS_RETRIEVAL_STORE": "qdrant", "HEADWORKS_RETRIEVAL_QDRANT_URL": "http://q:6334"}, "http://q:6334"),
        (
            {"HEADWORKS_RETRIEVAL_STORE": "pgvector", "HEADWORKS_RETRIEVAL_PGVECTOR_URL": "postgresql://a:secret@db/v"},
            "the collections are in PostgreSQL.*'postgresql://a:[*]+@db/v'",
        ),
        (
            {"HEADWORKS_RETRIEVAL_STORE": "pgvector", "HEADWORKS_RETRIEVAL_RECORDS_URL": "postgresql://a:secret@db/v"},
            "the records of retrieval are in PostgreSQL.*'postgresql://a:[*]+@db/v'",
        ),
    ],
)
async def test_what_others_keep_is_left_to_them_and_that_is_said(
    root: Path, tmp_path: Path, environ: dict[str, str], said: str
) -> None:
    where = places(root, environ)
    with pytest.raises(BackupFailed, match=f"(?s){said}.*--partial"):
        save(where, tmp_path / "b.tar", lambda *_: None)
    made = save(where, tmp_path / "b.tar", lambda *_: None, partial=True)
    assert len(made.manifest.elsewhere) == 1
    assert "secret" not in made.manifest.elsewhere[0]


async def test_records_elsewhere_in_files_are_saved_and_named(root: Path, tmp_path: Path) -> None:
    moved = tmp_path / "fast disk" / "records.db"
    moved.parent.mkdir()
    (root / "gateway/records.db").rename(moved)
    where = places(root, {"HEADWORKS_GATEWAY_RECORDS_URL": f"sqlite:///{moved}"})
    assert where.outside == [f"HEADWORKS_GATEWAY_RECORDS_URL names {moved}"]
    made = save(where, tmp_path / "b.tar", lambda *_: None)
    assert "gateway/records.db" in [file.path for file in made.manifest.files]
    moved.unlink()
    with pytest.raises(BackupFailed, match="there are no records of gateway in"):
        save(where, tmp_path / "b.tar", lambda *_: None)


async def test_tar_can_read_it(root: Path, tmp_path: Path) -> None:
    made = saved(root, tmp_path / "b.tar")
    out = tmp_path / "out"
    out.mkdir()
    assert await ended("tar", "-xf", made.file, "-C", out) == 0
    restored(made.file, tmp_path / "other")
    assert await ended("diff", "-r", out / "data", tmp_path / "other") == 0


async def ended(*command: str | Path) -> int:
    process = await asyncio.create_subprocess_exec(*command)
    return await process.wait()
