"""Records in a database of the test's own."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from services.orchestrator.runs.records import Records

OpenRecords = Callable[..., Records]


@pytest.fixture
def open_records(tmp_path: Path) -> Iterator[OpenRecords]:
    """Opens the records of a replica; all of them are in one file."""
    opened: list[Records] = []

    def make(replica: str = "orchestrator-0", retained: int = 1000) -> Records:
        records = Records(f"sqlite:///{tmp_path}/runs.db", replica, retained)
        records.open()
        opened.append(records)
        return records

    yield make
    for records in opened:
        records.close()


@pytest.fixture
def records(open_records: OpenRecords) -> Records:
    return open_records()
