"""Rows of usage and the sums of their days, written together; and calls under way, of which something is left when
their gateway dies.

A gateway writes from time to time what its calls have used so far, with the renewal of its budgets. A call that ends
takes its row away in the transaction that settles it. A row that is not renewed becomes one of usage, by whichever
gateway finds it; where its own was only slow, the settlement takes that one back.
"""

import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import bindparam, delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.usage.record import Usage, new_usage_id
from gateway.usage.tables import USAGE, USAGE_DAILY, USAGE_OPEN
from services.runtime.records.clock import now_of
from services.runtime.records.many import Many, Step, execute_all
from services.runtime.records.upsert import upsert

COLUMNS = tuple(column.name for column in USAGE.columns)
GROUP = ("day", "tenant", "project", "key", "agent", "model")
SHARDS = 64
SUMS = ("calls", "prompt_tokens", "completion_tokens", "cached_tokens", "cost_nanos")
INSERT = Many(insert(USAGE))
ABANDONED = "abandoned"
AT_ONCE = 100
CLOSE_OPEN = Many(delete(USAGE_OPEN).where(USAGE_OPEN.c.id == bindparam("of")))


def _daily() -> Many:
    statement = upsert(USAGE_DAILY)
    more = {name: USAGE_DAILY.c[name] + statement.excluded[name] for name in SUMS}
    return Many(statement.on_conflict_do_update(index_elements=[*GROUP, "shard"], set_=more))


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


@dataclass(slots=True, eq=False)
class OpenCall:
    """A call under way. `so_far` is what it has used; `counted` is set once that is anything. `id` is that of its row,
    empty while it has none."""

    so_far: Callable[[], Usage]
    counted: bool = False
    closed: bool = False
    id: str = ""

    def row(self) -> Usage | None:
        """What it has used so far; None where there is nothing to say."""
        if self.closed or not self.counted:
            return None
        used = self.so_far()
        self.id = self.id or new_usage_id(used.time)
        return replace(used, id=self.id, finish_reason=ABANDONED)


def _written() -> Many:
    statement = upsert(USAGE_OPEN)
    set_ = {column.name: statement.excluded[column.name] for column in USAGE_OPEN.columns if column.name != "id"}
    return Many(statement.on_conflict_do_update(index_elements=["id"], set_=set_))


WRITE_OPEN = _written()


async def write_open(connection: AsyncConnection, rows: Sequence[Usage], lease: float) -> None:
    """Say what calls have used so far, which holds for `lease` seconds."""
    if rows:
        expires = (await connection.execute(select(now_of(connection.dialect.name)))).scalar_one() + lease
        values = [{name: getattr(row, name) for name in COLUMNS} | {"expires": expires} for row in rows]
        await WRITE_OPEN.execute(connection, values)


async def close_open(connection: AsyncConnection, ids: Sequence[str], shard: int) -> None:
    """Calls with these rows are settled in this transaction: take away their rows, and what became of them where
    another gateway took this one for dead."""
    if ids:
        await CLOSE_OPEN.execute(connection, [{"of": id_} for id_ in sorted(ids)])
        await _take_back(connection, ids, shard)


async def sweep_open(connection: AsyncConnection, shard: int) -> Sequence[Usage]:
    """Make usage of the rows that were not renewed, AT_ONCE at most, and give it."""
    over = select(USAGE_OPEN).where(USAGE_OPEN.c.expires < now_of(connection.dialect.name)).order_by(USAGE_OPEN.c.id)
    found = (await connection.execute(over.limit(AT_ONCE).with_for_update(skip_locked=True))).mappings().all()
    rows = [Usage(**{name: row[name] for name in COLUMNS}) for row in found]
    await close_open(connection, [row.id for row in rows], shard)
    await write_usage(connection, rows, shard)
    return rows


async def _take_back(connection: AsyncConnection, ids: Iterable[str], shard: int) -> None:
    """Remove these rows of usage, where there are any, from the sums too."""
    these = USAGE.c.id.in_(list(ids))
    rows = [Usage(*row) for row in await connection.execute(select(USAGE).where(these))]
    if rows:
        await connection.execute(delete(USAGE).where(these))
        await add_sums(connection, rows, shard, -1)
