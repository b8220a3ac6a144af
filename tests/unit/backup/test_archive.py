"""The file of a backup: what goes in comes out, and what is damaged is no backup."""

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from infra.backup.archive import ArchiveReader, ArchiveWriter, looks_like_one
from infra.backup.errors import BadBackup
from infra.backup.manifest import Manifest
from infra.backup.sparse import extents
from services.runtime.data_format import DataFormat

DEEP = "retrieval/" + "d" * 120 + "/" + "e" * 90 + "/page_0.dat"


def holes(path: Path, *parts: tuple[int, bytes], size: int) -> Path:
    with path.open("wb") as file:
        file.truncate(size)
        for offset, data in parts:
            file.seek(offset)
            file.write(data)
    return path


FILES: dict[str, Callable[[Path], Path]] = {
    "keys.json": lambda path: holes(path, (0, b"{}"), size=2),
    "empty": lambda path: holes(path, size=0),
    "gateway/records.db": lambda path: holes(path, (0, os.urandom(3_000_000)), size=3_000_000),
    DEEP: lambda path: holes(path, (8192, b"x" * 5000), (1 << 20, b"y"), size=4 << 20),
    "hole": lambda path: holes(path, size=33_554_432),
    "ends in data": lambda path: holes(path, (4_000_000, b"z" * 99), size=4_000_099),
}


def written(target: Path, scratch: Path, files: dict[str, Callable[[Path], Path]]) -> None:
    with target.open("wb") as out:
        archive = ArchiveWriter(out, lambda _: None)
        for number, (name, make) in enumerate(files.items()):
            archive.add(make(scratch / f"source{number}"), name)
        archive.add_folder("retrieval/nothing in it")
        archive.finish(Manifest(DataFormat(2, "0.1.0"), "2026-11-20T08:00:00", archive.files, archive.folders))


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    target = tmp_path / "whole.tar"
    written(target, tmp_path, FILES)
    return target


def read(file: Path) -> dict[str, bytes]:
    found = {}
    with ArchiveReader(file) as archive:
        for saved in archive.manifest.files:
            data = bytearray(saved.size)
            for offset, piece in archive.data(saved):
                data[offset : offset + len(piece)] = piece
            found[saved.path] = bytes(data)
    return found


def test_what_goes_in_comes_out(whole: Path, tmp_path: Path) -> None:
    expected = {name: (tmp_path / f"source{number}").read_bytes() for number, name in enumerate(FILES)}
    assert read(whole) == expected
    assert looks_like_one(whole)


def test_holes_take_no_space(whole: Path, tmp_path: Path) -> None:
    with (tmp_path / "source4").open("rb") as file:
        if extents(file.fileno(), 33_554_432):
            pytest.skip("this file system does not say where its holes are")
    assert whole.stat().st_size < 4_000_000


@pytest.mark.parametrize("share", [0, 0.001, 0.3, 0.7, 0.9, 0.97, 0.99])
def test_one_that_was_cut_off_is_none(whole: Path, share: float) -> None:
    os.truncate(whole, int(whole.stat().st_size * share))
    with pytest.raises(BadBackup):
        read(whole)


def test_every_byte_of_what_was_saved_is_checked(tmp_path: Path) -> None:
    target = tmp_path / "small.tar"
    written(
        target, tmp_path, {"keys.json": FILES["keys.json"], "dev.key": lambda path: holes(path, (0, b"hw_"), size=3)}
    )
    good = target.read_bytes()
    expected = read(target)
    wrong = 0
    for at in range(0, len(good), 37):
        target.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
        try:
            assert read(target) == expected
        except BadBackup:
            wrong += 1
    assert wrong > len(good) // 37 // 4


@pytest.mark.parametrize("content", [b"", b"no archive", b"\0" * 10240, b"headworks-backup.txt" + b"\0" * 2000])
def test_other_files_are_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(BadBackup):
        ArchiveReader(tmp_path / "a")


def forged(target: Path, names: list[str], change: Callable[[dict[str, Any]], None]) -> Path:
    """An archive whose manifest and hashes are in order, made by somebody else."""
    with tarfile.open(target, "w") as tar:

        def add(name: str, data: bytes) -> None:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))

        add("headworks-backup.txt", b"x")
        for name in names:
            add(f"data/{name}", b"abc")
        digest = hashlib.sha256(b"abc").hexdigest()
        made = {
            "version": 1, "format": 2, "headworks": "0.1.0", "time": "", "collections": 0, "elsewhere": [],
            "folders": [],
            "files": [{"path": name, "size": 3, "extents": [[0, 3]], "sha256": digest} for name in names],
        }  # fmt: skip
        change(made)
        data = json.dumps(made).encode()
        add("manifest.json", data)
        add("manifest.sha256", hashlib.sha256(data).hexdigest().encode())
    return target


def test_a_forged_archive_in_order_is_read(tmp_path: Path) -> None:
    assert read(forged(tmp_path / "a", ["keys.json"], lambda _: None)) == {"keys.json": b"abc"}


@pytest.mark.parametrize("name", ["../outside", "/etc/x", "a/../../x", "./a", "a//b", "..", "a/"])
def test_a_path_out_of_the_directory_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadBackup):
        ArchiveReader(forged(tmp_path / "a", [name], lambda _: None))


@pytest.mark.parametrize(
    "change",
    [
        lambda made: made.update(version=2),
        lambda made: made.update(files=[]),
        lambda made: made.update(files=made["files"] * 2),
        lambda made: made.update(folders=["x"]),
        lambda made: made.update(folders=["../x"]),
        lambda made: made.pop("format"),
        lambda made: made["files"][0].update(extents=[[0, 2]]),
        lambda made: made["files"][0].update(extents=[[0, 4]]),
        lambda made: made["files"][0].update(extents=[[-1, 3]]),
        lambda made: made["files"][0].update(extents=[[0, 2], [1, 1]]),
        lambda made: made["files"][0].update(size=2),
        lambda made: made["files"][0].update(path="dev.key"),
    ],
)
def test_a_manifest_that_is_not_of_the_files_is_refused(
    tmp_path: Path, change: Callable[[dict[str, Any]], None]
) -> None:
    with pytest.raises(BadBackup):
        ArchiveReader(forged(tmp_path / "a", ["keys.json"], change))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_members_that_are_no_files_are_refused(tmp_path: Path, kind: bytes) -> None:
    target = forged(tmp_path / "a", ["keys.json"], lambda _: None)
    with tarfile.open(target, "a") as tar:
        info = tarfile.TarInfo("data/link")
        info.type, info.linkname = kind, "/etc/passwd"
        tar.addfile(info)
    with pytest.raises(BadBackup):
        ArchiveReader(target)
