"""Erasures on record, so that one which broke off is gone on with. Of whom is told only while it is under way."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from sqlalchemy import Row, Update, insert, select, update

from gateway.metadata import new_id
from gateway.privacy.holders.holder import Whose
from gateway.privacy.tables import ERASURES
from services.runtime.records.database import Database

RUNNING, DONE = "running", "done"


@dataclass(slots=True)
class Erasure:
    """`done`: the places that are through. `counts`: what was erased, by kind."""

    id: str
    whose: Whose
    done: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)


class ErasureStore:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(self, whose: Whose) -> Erasure:
        """The erasure of theirs that is under way, or a new one."""
        same = (ERASURES.c.tenant == whose.tenant) & (ERASURES.c.subject == whose.subject)
        query = select(ERASURES).where(same, ERASURES.c.state == RUNNING).limit(1)
        async with self._database.write() as connection:
            found = (await connection.execute(query)).one_or_none()
            if found is not None:
                return _erasure(found)
            made = Erasure(new_id("era"), whose)
            now = time.time()
            row = {"id": made.id, "tenant": whose.tenant, "subject": whose.subject, "state": RUNNING, "done": "[]",
                   "counts": "{}", "create_time": now, "update_time": now}  # fmt: skip
            await connection.execute(insert(ERASURES).values(**row))
        return made

    async def save(self, erasure: Erasure) -> None:
        """How far it is; it says that somebody is at it, too."""
        async with self._database.write() as connection:
            await connection.execute(_this(erasure.id).values(**_progress(erasure)))

    async def end(self, erasure: Erasure) -> None:
        """It is through; of whom it was is forgotten."""
        async with self._database.write() as connection:
            await connection.execute(_this(erasure.id).values(**_progress(erasure), state=DONE, subject=""))

    async def abandoned(self, seconds: float) -> Sequence[Erasure]:
        """Those that nobody has been at for so long."""
        stale = ERASURES.c.update_time < time.time() - seconds
        async with self._database.read() as connection:
            rows = await connection.execute(select(ERASURES).where(ERASURES.c.state == RUNNING, stale).limit(100))
            return [_erasure(row) for row in rows]


def _this(erasure_id: str) -> Update:
    return update(ERASURES).where(ERASURES.c.id == erasure_id)


def _progress(erasure: Erasure) -> Mapping[str, object]:
    done, counts = orjson.dumps(erasure.done).decode(), orjson.dumps(erasure.counts).decode()
    return {"done": done, "counts": counts, "update_time": time.time()}


def _erasure(row: "Row[Any]") -> Erasure:
    return Erasure(row.id, Whose(row.tenant, row.subject), orjson.loads(row.done), orjson.loads(row.counts))
