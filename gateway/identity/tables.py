"""The tables of tenants, projects, principals, roles and API keys, and the log of their changes.

Lists of names are JSON. An empty project is the whole tenant.
"""

from sqlalchemy import BigInteger, Column, Float, ForeignKey, Index, Integer, String, Table, Text, UniqueConstraint

from gateway.metadata import METADATA

NAME = 200

TENANTS = Table(
    "tenants",
    METADATA,
    Column("id", String(64), primary_key=True),
    Column("display_name", String(NAME), nullable=False),
    Column("state", String(16), nullable=False),
    Column("created", Float, nullable=False),
)


def _tenant() -> Column[str]:
    return Column("tenant", String(64), ForeignKey("tenants.id", ondelete="CASCADE"), nullable=False)


PROJECTS = Table(
    "projects",
    METADATA,
    Column("id", String(64), primary_key=True),
    _tenant(),
    Column("name", String(NAME), nullable=False),
    Column("created", Float, nullable=False),
    UniqueConstraint("tenant", "name"),
)

PRINCIPALS = Table(
    "principals",
    METADATA,
    Column("id", String(64), primary_key=True),
    _tenant(),
    Column("kind", String(16), nullable=False),
    Column("name", String(NAME), nullable=False),
    Column("display_name", String(NAME), nullable=False),
    Column("state", String(16), nullable=False),
    Column("created", Float, nullable=False),
    Column("groups", Text, nullable=False, server_default="[]"),
    UniqueConstraint("tenant", "name"),
)

ROLES = Table(
    "roles",
    METADATA,
    _tenant(),
    Column("name", String(64), nullable=False),
    Column("permissions", Text, nullable=False),
    Column("created", Float, nullable=False),
    UniqueConstraint("tenant", "name"),
)

BINDINGS = Table(
    "role_bindings",
    METADATA,
    _tenant(),
    Column("principal", String(64), ForeignKey("principals.id", ondelete="CASCADE"), nullable=False),
    Column("role", String(64), nullable=False),
    Column("project", String(64), nullable=False),
    Column("created", Float, nullable=False),
    UniqueConstraint("principal", "role", "project"),
)

API_KEYS = Table(
    "api_keys",
    METADATA,
    Column("id", String(64), primary_key=True),
    _tenant(),
    Column("project", String(64), nullable=False),
    Column("principal", String(64), ForeignKey("principals.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("name", String(NAME), nullable=False),
    Column("prefix", String(16), nullable=False),
    Column("sha256", String(64), nullable=False, unique=True),
    Column("roles", Text, nullable=False),
    Column("scopes", Text, nullable=False),
    Column("created", Float, nullable=False),
    Column("expires", Float),
    Column("last_used", Float),
    Column("revoked", Float),
    Column("replaced_by", String(64)),
    Index(None, "tenant", "id"),
)

# What changed, in the order of its commits: replicas read on from where they were. Entries are kept for a day.
IDENTITY_CHANGES = Table(
    "identity_changes",
    METADATA,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("kind", String(16), nullable=False),
    Column("name", String(64), nullable=False),
    Column("made", Float, nullable=False, index=True),
    sqlite_autoincrement=True,
)
