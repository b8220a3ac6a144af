"""Checkpoints are made once, whole or not at all, and again where what is there was changed."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from services.models.checkpoints import DIGESTS, kept, seal, unchanged


def test_many_who_ask_at_once_get_one_that_was_made_once(tmp_path: Path) -> None:
    made: list[Path] = []

    def make(folder: Path) -> None:
        made.append(folder)
        (folder / "weights").write_text("w")

    with ThreadPoolExecutor(4) as pool:
        folders = set(pool.map(lambda _: kept("a", "key", make, tmp_path), range(8)))
    assert len(made) == 1
    assert [(folder / "weights").read_text() for folder in folders] == ["w"]


def test_nothing_stays_of_one_that_failed_or_was_killed(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "half").write_text("h")
        raise OSError("disk full")

    (tmp_path / ".a-killed").mkdir()
    with pytest.raises(OSError, match="disk full"):
        kept("a", "key", fail, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["a.lock"]


def make(folder: Path) -> None:
    (folder / "model").mkdir()
    (folder / "model" / "weights").write_bytes(b"w" * 100)
    seal(folder)


def test_what_was_sealed_is_found_unchanged(tmp_path: Path) -> None:
    folder = kept("a", "key", make, tmp_path, unchanged)
    before = (folder / "model" / "weights").stat().st_ino
    assert unchanged(folder)
    assert kept("a", "key", make, tmp_path, unchanged) == folder
    assert (folder / "model" / "weights").stat().st_ino == before


@pytest.mark.parametrize(
    "harm",
    [
        lambda folder: (folder / "model" / "weights").write_bytes(b"w" * 99 + b"x"),
        lambda folder: (folder / "model" / "weights").unlink(),
        lambda folder: (folder / "model" / "more").write_text("m"),
        lambda folder: (folder / DIGESTS).unlink(),
        lambda folder: (folder / DIGESTS).write_text("{"),
        lambda folder: (folder / DIGESTS).write_text("{}"),
    ],
    ids=["a byte", "gone", "more", "unsealed", "torn seal", "empty seal"],
)
def test_what_was_changed_is_made_again(tmp_path: Path, harm: Callable[[Path], object]) -> None:
    folder = kept("a", "key", make, tmp_path, unchanged)
    harm(folder)
    assert not unchanged(folder)
    assert kept("a", "key", make, tmp_path, unchanged) == folder
    assert unchanged(folder)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a-key", "a.lock"]
