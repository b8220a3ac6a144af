"""What all tables of the gateway are declared on. Each area has its own, in gateway/<area>/tables.py.

Times are seconds since the epoch in UTC, as floats; money is in whole nanos (1e-9) of the catalogue's currency; ids are
short random strings with a prefix that says of what.
"""

import secrets
from collections.abc import Callable

from sqlalchemy import MetaData

from services.runtime.records.schema import NAMES

METADATA = MetaData(naming_convention=NAMES)

NewId = Callable[[str], str]


def new_id(prefix: str) -> str:
    """A random id of 80 bits, such as key_0b6f…"""
    return f"{prefix}_{secrets.token_hex(10)}"
