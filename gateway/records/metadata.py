"""What all tables of the gateway are declared on. Each area has its own, in gateway/<area>/tables.py.

Times are seconds since the epoch in UTC, as floats; money is in whole nanos (1e-9) of the catalogue's currency; ids are
short random strings with a prefix that says of what.
"""

import secrets
from collections.abc import Callable

from sqlalchemy import MetaData

# Names that migrations on every database can rely on.
METADATA = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

NewId = Callable[[str], str]


def new_id(prefix: str) -> str:
    """A random id of 80 bits, such as key_0b6f…"""
    return f"{prefix}_{secrets.token_hex(10)}"
