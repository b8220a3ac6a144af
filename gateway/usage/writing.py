"""Rows of usage and the sums of their days, written together."""

import zlib
from collections.abc import Sequence
from typing import Any

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.usage.record import Usage
from gateway.usage.tables import USAGE, USAGE_DAILY
from services.runtime.records.many import Many, Step, execute_all
from services.runtime.records.upsert import upsert

COLUMNS = tuple(column.name for column in USAGE.columns)
GROUP = ("day", "tenant", "project", "key", "agent", "model")
SHARDS = 64
SUMS = ("calls", "prompt_tokens", "completion_tokens", "cached_tokens", "cost_nanos")


def _daily() -> Many:
    statement = upsert(USAGE_DAILY)
    more = {name: USAGE_DAILY.c[name] + statement.excluded[name] for name in SUMS}
    return Many(statement.on_conflict_do_update(index_elements=[*GROUP, "shard"], set_=more))


INSERT = Many(insert(USAGE))
ADD = _daily()


def shard_of(writer: str) -> int:
    """Which rows of the sums a process of this name adds to. Two may share some, and then wait for each other."""
    return zlib.crc32(writer.encode()) % SHARDS


async def write_usage(connection: AsyncConnection, rows: Sequence[Usage], shard: int = 0) -> None:
    """Write rows that are not there yet, and add them to the sums of their days."""
    await execute_all(connection, usage_steps(rows, shard))


def usage_steps(rows: Sequence[Usage], shard: int) -> Sequence[Step]:
    """The statements of write_usage."""
    if not rows:
        return ()
    return (INSERT, [{name: getattr(row, name) for name in COLUMNS} for row in rows]), _sums(rows, shard)


async def add_sums(connection: AsyncConnection, rows: Sequence[Usage], shard: int, times: int = 1) -> None:
    """Add the rows to the sums of their days so many times: -1 takes them out."""
    await execute_all(connection, (_sums(rows, shard, times),))


def _sums(rows: Sequence[Usage], shard: int, times: int = 1) -> Step:
    # In order, so that two replicas do not wait for each other.
    return ADD, [
        {**_values(group, [times * one for one in sums]), "shard": shard}
        for group, sums in sorted(summed(rows).items())
    ]


def summed(rows: Sequence[Usage]) -> dict[tuple[str, ...], list[int]]:
    """The sums of `rows` for each group, in the order of SUMS."""
    groups: dict[tuple[str, ...], list[int]] = {}
    for row in rows:
        sums = groups.setdefault(tuple(getattr(row, name) for name in GROUP), [0] * len(SUMS))
        sums[0] += 1
        for index, name in enumerate(SUMS[1:], start=1):
            sums[index] += getattr(row, name)
    return groups


def _values(group: tuple[str, ...], sums: list[int]) -> dict[str, Any]:
    return dict(zip(GROUP, group, strict=True)) | dict(zip(SUMS, sums, strict=True))
