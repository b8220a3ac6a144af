"""A copy of an SQLite database as it is at one moment, made while others write to it."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

PAGES = 2048
BUSY_SECONDS = 60.0


class DatabaseDamaged(Exception):
    """SQLite finds fault with what was copied."""


def snapshot(database: Path, copy: Path, on_pages: Callable[[int, int], None] = lambda *_: None) -> None:
    """Copy the database to a new file, checked; `on_pages` is called with how many pages are left, and of how many.

    It holds one state of the database for as long as it reads, and nobody waits for it. Blocks. Raises sqlite3.Error
    and DatabaseDamaged.
    """
    with (
        closing(sqlite3.connect(_existing(database), uri=True, timeout=BUSY_SECONDS, isolation_level=None)) as source,
        closing(sqlite3.connect(copy)) as target,
    ):
        source.execute("BEGIN")
        source.execute("SELECT count(*) FROM sqlite_master").fetchone()  # from here on it sees one state
        source.backup(target, pages=PAGES, progress=lambda _, left, total: on_pages(left, total), sleep=0)
        source.execute("ROLLBACK")
        target.execute("PRAGMA journal_mode=DELETE")  # all of it in the one file
        found = target.execute("PRAGMA quick_check").fetchall()
    if found != [("ok",)]:
        raise DatabaseDamaged(f"{database} is damaged: {found[0][0]}")


def _existing(database: Path) -> str:
    return f"file:{quote(str(database.absolute()))}?mode=rw"
