"""Checkpoints are made once, whole or not at all, and anew when what they are made from changes."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.fakes.tiny_llm.cache import kept, key_of


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


def test_the_key_changes_with_what_the_code_says_and_not_with_how_it_is_laid_out(tmp_path: Path) -> None:
    path = tmp_path / "code.py"
    path.write_text("x = 1")
    before = key_of([path])
    path.write_text('"""Words."""\n\nx  =  1  # more words\n')
    assert key_of([path]) == before
    path.write_text("x = 2")
    assert key_of([path]) != before
