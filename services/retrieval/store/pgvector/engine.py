"""Collections in PostgreSQL, by the records kit.

What `apply` is given is one transaction. Replicas of this service may share a database: the last one to commit a
document wins, and its commit deletes what the others wrote. The index of vectors is built in the background, while
others read and write, once a collection has so many points that comparing all of them takes long.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Hashable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace

import orjson
from sqlalchemy import ColumnElement, Executable, and_, bindparam, delete, select, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from services.retrieval.errors import CollectionExists, StoreFull, StoreUnavailable
from services.retrieval.model import Candidates, CollectionKey, StoreQuery
from services.retrieval.store import codec
from services.retrieval.store.engine import About, Amend, Found, Operation, Remove, Upsert, Where
from services.retrieval.store.pgvector import statements
from services.retrieval.store.pgvector.maintenance import INDEX_FROM, Maintenance, cancel, is_indexed
from services.retrieval.store.pgvector.ranking import Ranking
from services.retrieval.store.pgvector.search import Figures, PointSearch
from services.retrieval.store.pgvector.tables import COLLECTIONS, SCHEMA, GenerationTables, generation_tables
from services.runtime.errors import CannotStart, CollectionNotFound
from services.runtime.records.database import Database
from services.runtime.records.errors import RecordsUnavailable, sqlstate
from services.runtime.records.upsert import insert_new

LOG = logging.getLogger(__name__)
SECONDS = 30.0
FIGURES_SECONDS = 2.0
FEW = 10_000
"""Points, so few that each write changes how rare terms are: what was counted before it is counted anew."""
MOST_RANKINGS = 256
NO_TABLE, DISK_FULL = "42P01", "53100"
NO_EXTENSION = ("0A000", "42501", "58P01")
NO_PGVECTOR = (
    "the store's database has no pgvector: install it there, and have a superuser execute CREATE EXTENSION vector in it"
)


_NAMED = and_(COLLECTIONS.c.tenant == bindparam("tenant"), COLLECTIONS.c.collection == bindparam("collection"))
_ON_RECORD = select(COLLECTIONS).where(_NAMED)
_ON_RECORD_LOCKED = _ON_RECORD.with_for_update()


class PgvectorEngine:
    """A VectorEngine in a database, which it brings up to date when it is first needed. `seconds`: what a transaction
    may take at most, waiting included. A generation of `index_from` points or more is indexed after an ingestion."""

    def __init__(self, url: str, seconds: float = SECONDS, index_from: int = INDEX_FROM) -> None:
        self._database = Database(url, SCHEMA, timeout=seconds)
        self._maintenance = Maintenance(self._opened, index_from)
        self._opening = asyncio.Lock()
        self._open = False
        self._said = ""
        self._ids: dict[CollectionKey, int] = {}
        self._figures: dict[CollectionKey, tuple[float, Figures]] = {}
        self._rankings: dict[Hashable, Ranking] = {}

    async def create(self, key: CollectionKey, about: About) -> None:
        row = {"tenant": key.tenant, "collection": key.collection, "max_chars": about.max_chars}
        row |= {"create_time": about.create_time, "generation": about.generation, "embedders": _json(about)}
        async with self._writing(key) as connection:
            new = insert_new(COLLECTIONS).values(**row).returning(COLLECTIONS.c.id)
            number = (await connection.execute(new)).scalar()
            if number is None:
                raise CollectionExists(key.collection)
            await generation_tables(number, about.generation).create(connection)

    async def about(self, key: CollectionKey) -> About:
        async with self._reading(key) as connection:
            return (await self._on_record(connection, key))[1]

    async def extend(self, key: CollectionKey, embedder: str) -> About:
        async with self._writing(key) as connection:
            number, about = await self._on_record(connection, key, lock=True)
            about = about.with_generation(embedder)
            await self._record(connection, key, about)
            await generation_tables(number, max(about.embedders)).create(connection)
        return about

    async def switch(self, key: CollectionKey) -> None:
        async with self._writing(key) as connection:
            _, about = await self._on_record(connection, key, lock=True)
            if key.generation not in about.embedders:
                raise CollectionNotFound(key.collection)
            await self._record(connection, key, replace(about, generation=key.generation))

    async def retire(self, key: CollectionKey) -> None:
        async with self._writing(key) as connection:
            number, about = await self._on_record(connection, key, lock=True)
            if key.generation not in about.embedders or key.generation == about.generation:
                raise CollectionNotFound(key.collection)
            await self._record(connection, key, about.without(key.generation))
            await _drop(connection, generation_tables(number, key.generation))
        self._figures.pop(key, None)

    async def moving(self) -> Sequence[CollectionKey]:
        columns = (COLLECTIONS.c.tenant, COLLECTIONS.c.collection, COLLECTIONS.c.embedders)
        async with self._reading() as connection:
            rows = await connection.execute(select(*columns))
            return [CollectionKey(tenant, name) for tenant, name, embedders in rows if len(orjson.loads(embedders)) > 1]

    async def names(self, tenant: str) -> Sequence[str]:
        async with self._reading() as connection:
            found = select(COLLECTIONS.c.collection).where(COLLECTIONS.c.tenant == tenant)
            return sorted((await connection.execute(found)).scalars())

    async def owned(self) -> Sequence[CollectionKey]:
        """None: another replica may be writing to any of them. What it left is deleted by the next commit."""
        return ()

    async def drop(self, key: CollectionKey) -> None:
        async with self._writing(key) as connection:
            number, about = await self._on_record(connection, key, lock=True)
            for generation in about.embedders:
                await _drop(connection, generation_tables(number, generation))
            await connection.execute(delete(COLLECTIONS).where(_is(key)))
        self._ids.pop(key.whole, None)
        for known in [known for known in self._figures if known.whole == key.whole]:
            del self._figures[known]

    async def apply(self, key: CollectionKey, operations: Sequence[Operation]) -> None:
        if not operations:
            return
        tables = await self._known(key)
        async with self._writing(key) as connection:
            for operation in operations:
                await _apply(connection, tables, operation)
        _, figures = self._figures.get(key, (0.0, None))
        if figures and figures.count < FEW:
            del self._figures[key]

    async def retrieve(self, key: CollectionKey, ids: Sequence[str], without: Sequence[str] = ()) -> Found:
        if not ids:
            return []
        return await self._payloads(key, statements.retrieve(await self._known(key), ids, without))

    async def scroll(
        self, key: CollectionKey, where: Where, only: Sequence[str] = (), without: Sequence[str] = ()
    ) -> Found:
        tables = await self._known(key)
        which = statements.matching(tables, where)
        return await self._payloads(key, statements.scroll(tables, which, only, without))

    async def _payloads(self, key: CollectionKey, statement: Executable) -> Found:
        async with self._reading(key) as connection:
            return [(point, statements.loaded(payload)) for point, payload in await connection.execute(statement)]

    async def count(self, key: CollectionKey, where: Where) -> int:
        tables = await self._known(key)
        async with self._reading(key) as connection:
            return int((await connection.execute(statements.count(tables, where))).scalar_one())

    async def query(self, key: CollectionKey, probe: StoreQuery) -> Candidates:
        tables = await self._known(key)
        async with self._reading(key) as connection:
            figures = await self._counted(connection, key, tables)
            ranking = self._ranking(tables, codec.where_of(probe.filter))
            return await PointSearch(connection, ranking, figures).candidates(probe)

    def _ranking(self, tables: GenerationTables, where: Where) -> Ranking:
        """Made when it is first asked for; the one unused for longest is forgotten."""
        key = (tables.points.name, where.key)
        ranking = self._rankings.pop(key, None) or Ranking(tables, where)
        self._rankings[key] = ranking
        while len(self._rankings) > MOST_RANKINGS:
            del self._rankings[next(iter(self._rankings))]
        return ranking

    async def rest(self, key: CollectionKey) -> None:
        self._maintenance.wake(await self._known(key))

    async def rested(self) -> None:
        """Wait until what `rest` began has ended."""
        await self._maintenance.idle()

    async def ready(self) -> bool:
        try:
            async with self._reading() as connection:
                await connection.execute(select(1))
        except StoreUnavailable as error:
            self._say(str(error))
            return False
        self._said = ""
        return True

    def _say(self, why: str) -> None:
        """Once for each reason, why the store is not ready."""
        if why != self._said:
            LOG.warning("the store is not ready: %s", why)
            self._said = why

    async def aclose(self) -> None:
        await self._maintenance.aclose()
        await self._database.aclose()

    async def _opened(self) -> Database:
        """The database with its tables, which are made when it first answers."""
        if not self._open:
            async with self._opening:
                if not self._open:
                    await self._database.open()
                    self._open = True
        return self._database

    @asynccontextmanager
    async def _reading(self, key: CollectionKey | None = None) -> AsyncIterator[AsyncConnection]:
        with self._translated(key):
            async with (await self._opened()).read() as connection:
                yield connection

    @asynccontextmanager
    async def _writing(self, key: CollectionKey) -> AsyncIterator[AsyncConnection]:
        with self._translated(key):
            async with (await self._opened()).write() as connection:
                yield connection

    @contextmanager
    def _translated(self, key: CollectionKey | None) -> Iterator[None]:
        """The database's errors as the domain's."""
        try:
            yield
        except RecordsUnavailable as error:
            if sqlstate(error) == DISK_FULL:
                raise StoreFull("the disk of the store's database is full. Free some space there") from error
            raise StoreUnavailable("the store does not answer") from error
        except CannotStart as error:
            raise StoreUnavailable(str(error)) from error
        except DBAPIError as error:
            if key and sqlstate(error) == NO_TABLE:
                self._ids.pop(key.whole, None)
                raise CollectionNotFound(key.collection) from error
            if not self._open and sqlstate(error) in NO_EXTENSION:
                raise StoreUnavailable(NO_PGVECTOR) from error
            raise

    async def _on_record(
        self, connection: AsyncConnection, key: CollectionKey, *, lock: bool = False
    ) -> tuple[int, About]:
        """The collection's id and what is on record of it, which nobody changes meanwhile where it is locked."""
        named = {"tenant": key.tenant, "collection": key.collection}
        row = (await connection.execute(_ON_RECORD_LOCKED if lock else _ON_RECORD, named)).one_or_none()
        if row is None:
            self._ids.pop(key.whole, None)
            raise CollectionNotFound(key.collection)
        self._ids[key.whole] = row.id
        embedders = {int(number): str(name) for number, name in orjson.loads(row.embedders).items()}
        return row.id, About(row.max_chars, row.create_time, row.generation, embedders)

    async def _record(self, connection: AsyncConnection, key: CollectionKey, about: About) -> None:
        changed = update(COLLECTIONS).where(_is(key)).values(generation=about.generation, embedders=_json(about))
        await connection.execute(changed)

    async def _known(self, key: CollectionKey) -> GenerationTables:
        """The generation's tables, whether or not they are there."""
        if key.whole not in self._ids:
            await self.about(key)
        return generation_tables(self._ids[key.whole], key.generation)

    async def _counted(self, connection: AsyncConnection, key: CollectionKey, tables: GenerationTables) -> Figures:
        """The generation's figures, a moment old at most."""
        until, figures = self._figures.get(key, (0.0, None))
        now = time.monotonic()
        if figures is None or until < now:
            count = (await connection.execute(statements.with_terms(tables))).scalar_one()
            figures = Figures(count, await is_indexed(connection, tables))
            self._figures[key] = now + FIGURES_SECONDS, figures
        return figures


async def _drop(connection: AsyncConnection, tables: GenerationTables) -> None:
    await cancel(connection, tables)
    await tables.drop(connection)


async def _apply(connection: AsyncConnection, tables: GenerationTables, operation: Operation) -> None:
    match operation:
        case Upsert(points):
            by_id = {point.id: point for point in points}
            rows = (await connection.execute(statements.write_points(tables, list(by_id.values())))).all()
            replaced = [number for number, _, was_there in rows if was_there]
            if replaced:
                await connection.execute(statements.forget_terms(tables, replaced))
            lexical = {number: by_id[point].lexical for number, point, _ in rows}
            weights = {number: vector for number, vector in lexical.items() if vector and vector.indices}
            if weights:
                await connection.execute(statements.write_terms(tables, weights))
        case Remove(ids, where):
            await connection.execute(statements.remove(tables, statements.chosen(tables, ids, where)))
        case Amend(payload, ids, where):
            await connection.execute(statements.amend(tables, statements.chosen(tables, ids, where), payload))


def _is(key: CollectionKey) -> ColumnElement[bool]:
    return and_(COLLECTIONS.c.tenant == key.tenant, COLLECTIONS.c.collection == key.collection)


def _json(about: About) -> str:
    return orjson.dumps({str(number): name for number, name in about.embedders.items()}).decode()
