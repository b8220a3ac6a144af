"""What all tables of the gateway are declared on. Each area has its own, in gateway/<area>/tables.py.

Times are seconds since the epoch in UTC, as floats; money is in whole nanos (1e-9) of the catalogue's currency; ids are
short random strings with a prefix that says of what.
"""

import os
from collections import deque
from collections.abc import Callable

from sqlalchemy import MetaData

from services.runtime.records.schema import NAMES

METADATA = MetaData(naming_convention=NAMES)

NewId = Callable[[str], str]

_DIGITS, _AT_ONCE = 20, 256
_random: deque[str] = deque()
os.register_at_fork(after_in_child=_random.clear)


def new_id(prefix: str) -> str:
    """A random id of 80 bits, such as key_0b6f…"""
    return f"{prefix}_{random_digits()}"


def random_digits() -> str:
    """80 random bits in hexadecimal. The system is asked for many at once."""
    try:
        return _random.popleft()
    except IndexError:
        digits = os.urandom(_AT_ONCE * _DIGITS // 2).hex()
        _random.extend(digits[at : at + _DIGITS] for at in range(_DIGITS, len(digits), _DIGITS))
        return digits[:_DIGITS]
