"""The audit's tables. Records are chained; who acted and what was said are kept apart, so that they can be erased."""

from sqlalchemy import BigInteger, Column, Float, Index, Integer, PrimaryKeyConstraint, String, Table, Text

from gateway.metadata import METADATA

# `record` is canonical JSON; `hash` is SHA-256 of `previous` and of it. The other columns repeat what it says, to be
# found by. `actor` refers to ACTORS.
RECORDS = Table(
    "audit_records",
    METADATA,
    Column("chain", Integer, nullable=False, autoincrement=False, server_default="1"),
    Column("sequence", BigInteger, nullable=False, autoincrement=False),
    Column("id", String(40), nullable=False, unique=True),
    Column("time", Float(53), nullable=False),
    Column("tenant", String(128), nullable=False),
    Column("actor", String(40), nullable=False),
    Column("record", Text, nullable=False),
    Column("previous", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
    PrimaryKeyConstraint("chain", "sequence"),
    Index("ix_audit_records_tenant_time", "tenant", "time"),
    Index("ix_audit_records_time", "time"),
)

# One row a chain, whose number is `id`: the last record, and the one before the first that is kept. Whoever appends
# locks it. `holder` appends to it, and others do not before `expires`.
HEAD = Table(
    "audit_head",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("sequence", BigInteger, nullable=False),
    Column("hash", String(64), nullable=False),
    Column("base_sequence", BigInteger, nullable=False),
    Column("base_hash", String(64), nullable=False),
    Column("holder", String(192), nullable=False, server_default=""),
    Column("expires", Float(53), nullable=False, server_default="0"),
)

# `ref` is a hash of `salt` and of the rest: a record vouches for its actor, and tells nothing once the row is gone.
ACTORS = Table(
    "audit_actors",
    METADATA,
    Column("ref", String(40), primary_key=True),
    Column("tenant", String(128), nullable=False),
    Column("subject", String(256), nullable=False),
    Column("key_id", String(128), nullable=False),
    Column("address", String(64), nullable=False),
    Column("salt", String(32), nullable=False),
    Column("create_time", Float(53), nullable=False),
    Index("ix_audit_actors_tenant_subject", "tenant", "subject"),
)

# What was asked and answered, of tenants that want it kept. `data` is JSON, for which the record has a hash.
CONTENT = Table(
    "audit_content",
    METADATA,
    Column("chain", Integer, nullable=False, autoincrement=False, server_default="1"),
    Column("sequence", BigInteger, nullable=False, autoincrement=False),
    Column("tenant", String(128), nullable=False),
    Column("time", Float(53), nullable=False),
    Column("actor", String(40), nullable=False),
    Column("salt", String(32), nullable=False),
    Column("data", Text, nullable=False),
    PrimaryKeyConstraint("chain", "sequence"),
    Index("ix_audit_content_tenant_time", "tenant", "time"),
    Index("ix_audit_content_actor", "actor"),
)

# Signed by the gateway: the records of the chain up to this one were removed, by this rule.
PRUNINGS = Table(
    "audit_prunings",
    METADATA,
    Column("chain", Integer, nullable=False, autoincrement=False, server_default="1"),
    Column("sequence", BigInteger, nullable=False, autoincrement=False),
    Column("hash", String(64), nullable=False),
    Column("time", Float(53), nullable=False),
    Column("rule", String(128), nullable=False),
    Column("signature", String(128), nullable=False),
    PrimaryKeyConstraint("chain", "sequence"),
)

# Signed by the gateway: the chains were this long and ended with these hashes. `heads` is canonical JSON, for each
# chain its last record's number and hash: {"1":[57,"…"],"2":[9,"…"]}. Numbers have no gaps.
CHECKPOINTS = Table(
    "audit_checkpoints",
    METADATA,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("heads", Text, nullable=False),
    Column("time", Float(53), nullable=False),
    Column("signature", String(128), nullable=False),
)
