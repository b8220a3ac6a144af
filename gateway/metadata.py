"""What all tables of the gateway are declared on. Each area has its own, in gateway/<area>/tables.py.

Times are seconds since the epoch in UTC, as floats; money is in whole nanos (1e-9) of the catalogue's currency; ids are
short random strings with a prefix that says of what.
"""

import secrets
from contextvars import ContextVar

from sqlalchemy import MetaData

from services.runtime.records.schema import NAMES

METADATA = MetaData(naming_convention=NAMES)

_made: ContextVar[list[str]] = ContextVar("made")


def new_id(prefix: str) -> str:
    """A random id of 80 bits, such as key_0b6f…"""
    made = f"{prefix}_{secrets.token_hex(10)}"
    ids = _made.get(None)
    if ids is not None:
        ids.append(made)
    return made


def collect_ids() -> list[str]:
    """The ids that this task makes from here on: the audit of a change tells of what it made."""
    ids: list[str] = []
    _made.set(ids)
    return ids
