"""The tables of files, their bytes, and what vector stores are beyond collections.

Times are seconds since the epoch in UTC. Lists and maps are JSON.
"""

from sqlalchemy import BigInteger, Column, Float, ForeignKey, Index, Integer, LargeBinary, MetaData, String, Table, Text

from services.runtime.records.schema import NAMES
from services.runtime.records.tables import leases, meshes

METADATA = MetaData(naming_convention=NAMES)

# `ready` is 0 while the bytes come in. `subject` is who uploaded it.
FILES = Table(
    "retrieval_files",
    METADATA,
    Column("id", String(64), primary_key=True),
    Column("tenant", String(128), nullable=False),
    Column("subject", String(256), nullable=False),
    Column("filename", Text, nullable=False),
    Column("purpose", String(32), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("created", Float(53), nullable=False),
    Column("ready", Integer, nullable=False),
    Index(None, "tenant", "created", "id"),
)

FILE_PARTS = Table(
    "retrieval_file_parts",
    METADATA,
    Column("file", String(64), ForeignKey("retrieval_files.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("data", LargeBinary, nullable=False),
)

# What a collection has as a vector store; one that has no row is named by its id.
STORE_RECORDS = Table(
    "retrieval_vector_stores",
    METADATA,
    Column("tenant", String(128), primary_key=True),
    Column("store", String(64), primary_key=True),
    Column("name", Text, nullable=False),
    Column("notes", Text, nullable=False),
)

# `caller_groups` are those of who put it there, as whom it is ingested, or null for one whom no access list excludes.
# `due` is when it is tried next.
ATTACHED_FILES = Table(
    "retrieval_attached_files",
    METADATA,
    Column("tenant", String(128), primary_key=True),
    Column("store", String(64), primary_key=True),
    Column("file", String(64), primary_key=True),
    Column("batch", String(64), nullable=False),
    Column("status", String(16), nullable=False),
    Column("error_reason", String(64), nullable=False),
    Column("error_message", Text, nullable=False),
    Column("filename", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("attributes", Text, nullable=False),
    Column("access_groups", Text, nullable=False),
    Column("caller_groups", Text, nullable=False),
    Column("created", Float(53), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due", Float(53), nullable=False),
    Index(None, "status", "due"),
    Index(None, "tenant", "store", "created", "file"),
    Index(None, "tenant", "store", "batch"),
)

FILE_BATCHES = Table(
    "retrieval_file_batches",
    METADATA,
    Column("id", String(64), primary_key=True),
    Column("tenant", String(128), nullable=False),
    Column("store", String(64), nullable=False),
    Column("created", Float(53), nullable=False),
    Column("cancelled", Integer, nullable=False),
    Index(None, "tenant", "store"),
)

LEASES = leases("retrieval_leases", METADATA)
MESH = meshes("retrieval_mesh", METADATA)
