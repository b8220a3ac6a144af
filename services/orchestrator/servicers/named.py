"""What requests about versions by name have in common. All that is malformed raises InvalidArgument."""

import re

from services.orchestrator.agents.specs.spec import NAME
from services.runtime.errors import InvalidArgument


def name_of(name: str, what: str, field: str = "name") -> str:
    if not re.fullmatch(NAME, name):
        raise InvalidArgument(f"{what} is 1 to 64 of a-z, 0-9, '-' and '_'", field=field)
    return name


def version_of(version: int) -> int:
    if version < 0:
        raise InvalidArgument("version must not be negative", field="version")
    return version


def before_of(token: str) -> int | None:
    """Where a page of versions begins."""
    if not token:
        return None
    if not token.isdecimal() or len(token) > 9:
        raise InvalidArgument("page_token must be a next_page_token of this method", field="page_token")
    return int(token)
