"""The orchestrator's tables in the databases of its tests."""

import pytest

from services.orchestrator.schema.schema import SCHEMA
from services.runtime.records.schema import Schema


@pytest.fixture
def records_schema() -> Schema:
    return SCHEMA
