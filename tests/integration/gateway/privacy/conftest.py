"""The gateway's records, with the audit, over both databases."""

from collections.abc import AsyncIterator

import pytest

from tests.fakes.identity import Keys
from tests.integration.gateway.audit.conftest import Audit, open_audit


@pytest.fixture
async def audit(records_url: str, keys: Keys) -> AsyncIterator[Audit]:
    opened = await open_audit(records_url, keys)
    yield opened
    await opened.aclose()


@pytest.fixture
async def second_audit(audit: Audit, records_url: str, keys: Keys) -> AsyncIterator[Audit]:
    """Another replica over the same database."""
    opened = await open_audit(records_url, keys)
    yield opened
    await opened.aclose()
