"""Signed checkpoints over the ends of all chains: up to one, no chain can be rewritten, cut short or removed, even by
who may write to the database."""

import logging
import time
from collections.abc import AsyncIterator
from typing import Any

import orjson
from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.audit.anchors import ChainHead, Checkpoint, Heads
from gateway.audit.chain import canonical
from gateway.audit.seal import CHECKPOINT, Seal, checkpoint_text
from gateway.audit.tables import CHECKPOINTS, HEAD
from services.runtime.records.database import Database
from services.runtime.records.upsert import insert_new

log = logging.getLogger(__name__)

PAGE = 500


class Checkpoints:
    def __init__(self, database: Database, seal: Seal) -> None:
        self._database = database
        self.seal = seal

    async def write(self) -> Checkpoint | None:
        """Sign the present ends of all chains, unless that is done; None where it is. It is logged too, so that whoever
        keeps the logs elsewhere can tell a chain that was cut short or removed together with its checkpoints."""
        async with self._database.write() as connection:
            made = await self.sign(connection)
        if made is not None:
            log.info("audit checkpoint", extra={"number": made.number, "heads": orjson.loads(made.heads)})
        return made

    async def anchor(self) -> Checkpoint | None:
        """The signed ends of all chains as they are now; None while nothing is on record. Raises RecordsUnavailable."""
        made = await self.write()
        if made is not None:
            return made
        async with self._database.read() as connection:
            return await latest(connection)

    async def sign(self, connection: AsyncConnection) -> Checkpoint | None:
        """The same, in a transaction."""
        ends = await heads(connection)
        if not any(end.sequence for end in ends.values()):
            return None
        last = await latest(connection)
        if last is not None and last.ends == ends and last.good(self.seal.check):
            return None
        number, now, text = last.number + 1 if last is not None else 1, time.time(), heads_json(ends)
        signature = self.seal.sign(CHECKPOINT, checkpoint_text(number, now, text))
        once = insert_new(CHECKPOINTS).values(number=number, heads=text, time=now, signature=signature)
        made = Checkpoint(number, text, now, signature)
        return made if (await connection.execute(once)).rowcount == 1 else None  # another replica was quicker


def checkpoint_of(row: "Row[Any]") -> Checkpoint:
    return Checkpoint(row.number, row.heads, row.time, row.signature)


async def latest(connection: AsyncConnection) -> Checkpoint | None:
    """The checkpoint that was signed last."""
    query = select(CHECKPOINTS).order_by(CHECKPOINTS.c.number.desc()).limit(1)
    row = (await connection.execute(query)).one_or_none()
    return checkpoint_of(row) if row is not None else None


async def heads(connection: AsyncConnection) -> Heads:
    """The end of each chain."""
    rows = await connection.execute(select(HEAD.c.id, HEAD.c.sequence, HEAD.c.hash))
    return {row.id: ChainHead(row.sequence, row.hash) for row in rows}


def heads_json(ends: Heads) -> str:
    return canonical({str(chain): [end.sequence, end.hash] for chain, end in ends.items()})


async def each_checkpoint(database: Database) -> AsyncIterator[Checkpoint]:
    """All of them, oldest first, read a page at a time. Raises RecordsUnavailable."""
    last = 0
    while True:
        async with database.read() as connection:
            page = await checkpoints(connection, last)
        for one in page:
            yield one
        if len(page) < PAGE:
            return
        last = page[-1].number


async def checkpoints(connection: AsyncConnection, after: int = 0) -> list[Checkpoint]:
    """The oldest after the number `after`, PAGE at most."""
    query = select(CHECKPOINTS).where(CHECKPOINTS.c.number > after).order_by(CHECKPOINTS.c.number).limit(PAGE)
    return [checkpoint_of(row) for row in await connection.execute(query)]
