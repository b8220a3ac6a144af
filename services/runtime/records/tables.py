"""The kit's own tables, which a service declares as its own where it uses them."""

from sqlalchemy import BigInteger, Column, Integer, MetaData, String, Table

from services.runtime.records.schema import NAMES

_KIT = MetaData(naming_convention=NAMES)


def revisions(name: str, metadata: MetaData) -> Table:
    """A table by which replicas learn that something changed: `number` grows with every change of that kind."""
    return Table(
        name,
        metadata,
        Column("kind", String(64), primary_key=True),
        Column("number", BigInteger, nullable=False),
    )


REVISIONS = revisions("revisions", _KIT)


def meshes(name: str, metadata: MetaData) -> Table:
    """A table of one row, which says whose database it is: see `mesh`. `key` is the fingerprint of an identity key."""
    return Table(
        name,
        metadata,
        Column("id", Integer, primary_key=True, autoincrement=False),
        Column("key", String(64), nullable=False),
    )


MESH = meshes("mesh", _KIT)


def leases(name: str, metadata: MetaData) -> Table:
    """A table of who does what only one replica may do: see `lease`."""
    return Table(
        name,
        metadata,
        Column("name", String(64), primary_key=True),
        Column("holder", String(192), nullable=False),
        Column("beat", BigInteger, nullable=False),
    )


LEASES = leases("leases", _KIT)
