"""The kit's own tables, which a service declares as its own where it uses them."""

from sqlalchemy import BigInteger, Column, Float, MetaData, String, Table

from services.runtime.records.schema import NAMES

_KIT = MetaData(naming_convention=NAMES)

# By which replicas learn that something changed: `number` grows with every change of that kind.
REVISIONS = Table(
    "revisions",
    _KIT,
    Column("kind", String(64), primary_key=True),
    Column("number", BigInteger, nullable=False),
)

# Who does what only one replica may do. `expires`: seconds since the epoch.
LEASES = Table(
    "leases",
    _KIT,
    Column("name", String(64), primary_key=True),
    Column("holder", String(192), nullable=False),
    Column("expires", Float(53), nullable=False),
)
