"""The tables of collections in PostgreSQL: one that lists them, and two for each generation of a collection's index.

A generation has tables of its own, as an index of vectors that holds several collections finds too few of any one, and
as dropping a table takes no time. What queries select by are columns that the database makes of the payload. Vectors
stay in the rows, which are short without the payload: most of that PostgreSQL keeps apart.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from sqlalchemy import (
    REAL,
    BigInteger,
    Boolean,
    Column,
    Computed,
    Float,
    Identity,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import UserDefinedType

from services.retrieval.model import WIDTH
from services.runtime.records.schema import NAMES, Schema

M = 16
EF_CONSTRUCTION = 100
"""Of HNSW, as the other engines have them."""
SCALARS = ("kind", "document_id", "version", "media_type")
LISTS = ("labels", "access")
NUMBERS = "numbers"


class Vector(UserDefinedType[Any]):
    """A vector of single precision; written as text, which the database casts."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return f"vector({WIDTH})"


METADATA = MetaData(naming_convention=NAMES)

# `embedders` is a JSON object: that of each generation, by its number. `id` names the generations' tables.
COLLECTIONS = Table(
    "retrieval_collections",
    METADATA,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("tenant", String(128), nullable=False),
    Column("collection", String(128), nullable=False),
    Column("max_chars", Integer, nullable=False),
    Column("create_time", Float(53), nullable=False),
    Column("generation", Integer, nullable=False),
    Column("embedders", Text, nullable=False),
    UniqueConstraint("tenant", "collection"),
)

# A version table of its own: the records of services may be in the same database.
SCHEMA = Schema(
    "retrieval-store", METADATA, Path(__file__).parent / "migrations" / "versions", "retrieval_store_alembic_version"
)


@dataclass(frozen=True, slots=True)
class GenerationTables:
    """`terms` is the inverted index: how much each term weighs in each point that has it."""

    points: Table
    terms: Table

    @property
    def hnsw(self) -> str:
        """The name of the index of the vectors."""
        return f"ix_{self.points.name}_dense"

    async def create(self, connection: AsyncConnection) -> None:
        """Make them, empty and without the index of the vectors."""
        for table in (self.points, self.terms):
            await connection.run_sync(table.create, checkfirst=False)
        await connection.execute(text(f"ALTER TABLE {self.points.name} ALTER COLUMN dense SET STORAGE PLAIN"))

    async def drop(self, connection: AsyncConnection) -> None:
        await connection.execute(text(f"DROP TABLE IF EXISTS {self.points.name}, {self.terms.name}"))

    def index_vectors(self) -> str:
        """The statement that makes the index of the vectors where it is not, while others read and write."""
        return (
            f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {self.hnsw} ON {self.points.name} "
            f"USING hnsw (dense vector_cosine_ops) WITH (m = {M}, ef_construction = {EF_CONSTRUCTION})"
        )

    def drop_index(self) -> str:
        return f"DROP INDEX CONCURRENTLY IF EXISTS {self.hnsw}"

    def vacuum(self) -> str:
        """The statement after which counts need the indexes alone, and the planner knows how much there is."""
        return f"VACUUM (ANALYZE) {self.points.name}, {self.terms.name}"


@lru_cache(maxsize=1024)
def generation_tables(collection: int, generation: int) -> GenerationTables:
    """Those of a generation of the collection with that id."""
    apart = MetaData(naming_convention=NAMES)
    points = Table(
        f"retrieval_points_{collection}_{generation}",
        apart,
        Column("number", BigInteger, Identity(), primary_key=True),
        Column("id", Uuid(as_uuid=False), nullable=False),
        Column("dense", Vector),
        Column("has_terms", Boolean, nullable=False),
        *(Column(name, Text, Computed(f"payload->>'{name}'", persisted=True)) for name in SCALARS),
        *(Column(name, JSONB, Computed(f"payload->'{name}'", persisted=True)) for name in (*LISTS, NUMBERS)),
        Column("payload", JSONB, nullable=False),
        UniqueConstraint("id"),
        Index(None, "document_id"),
        Index(None, "kind"),
        Index(None, "labels", postgresql_using="gin"),
        Index(None, "has_terms", postgresql_where=text("has_terms")),
    )
    terms = Table(
        f"retrieval_terms_{collection}_{generation}",
        apart,
        Column("point", BigInteger, nullable=False),
        Column("term", Integer, nullable=False),
        Column("weight", REAL, nullable=False),
        Index(None, "term", postgresql_include=["point", "weight"]),
        Index(None, "point"),
    )
    return GenerationTables(points, terms)
