"""Replicas that write other rows together with the audit do not wait for each other in a circle."""

import asyncio
from collections.abc import Sequence

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.fakes.identity import Keys
from tests.fixtures.audit import Audit, entry, open_audit


class OneRow:
    """Changes a row that all replicas change, as a budget's is."""

    async def write(self, connection: AsyncConnection, items: Sequence[int]) -> None:
        await connection.execute(
            text("UPDATE revisions SET number = number + :more WHERE kind = 'test'"), {"more": len(items)}
        )


async def test_no_replica_waits_for_another_in_a_circle(
    postgres_url: str, keys: Keys, caplog: pytest.LogCaptureFixture
) -> None:
    replicas: list[Audit] = [await open_audit(postgres_url, keys) for _ in range(2)]
    await replicas[0].execute("INSERT INTO revisions VALUES ('test', 0)")

    async def load(audit: Audit, *, first: bool) -> None:
        row = OneRow()
        for number in range(100):
            both = [audit.log.put(entry(number)), (row, number)]
            await audit.writer.put_together(both if first else both[::-1])

    await asyncio.gather(*(load(audit, first=index == 0) for index, audit in enumerate(replicas)))
    report = await replicas[0].verify()
    assert (report.sound, report.records) == (True, 200)
    assert "cannot be reached" not in caplog.text
    for audit in replicas:
        await audit.aclose()
