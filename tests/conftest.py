"""Fixtures that all tests share."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from xdist.remote import Producer

from tests.fakes.identity import Keys
from tests.fakes.tiny_llm.fixtures import tiny_llm as tiny_llm
from tests.fixtures.clock import clock as clock
from tests.fixtures.reaper import Reaper
from tests.fixtures.servers import empty_url as empty_url
from tests.fixtures.servers import migrated_pgvector as migrated_pgvector
from tests.fixtures.servers import migrated_postgres as migrated_postgres
from tests.fixtures.servers import migrated_sqlite as migrated_sqlite
from tests.fixtures.servers import pgvector_server as pgvector_server
from tests.fixtures.servers import pgvector_url as pgvector_url
from tests.fixtures.servers import postgres_server as postgres_server
from tests.fixtures.servers import postgres_url as postgres_url
from tests.fixtures.servers import records_schema as records_schema
from tests.fixtures.servers import records_url as records_url
from tests.fixtures.servers import redis_server as redis_server
from tests.fixtures.servers import redis_url as redis_url
from tests.fixtures.servers import running_pgvector as running_pgvector
from tests.fixtures.servers import running_postgres as running_postgres
from tests.fixtures.servers import running_redis as running_redis
from tests.fixtures.shared import SharingScheduling

# A slow machine is no finding, and a test that passed today is to pass tomorrow.
settings.register_profile("steady", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("steady")

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test's tier is the folder that it is in."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(item.path.relative_to(HERE).parts[0])


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> SharingScheduling | None:
    """Of `--dist loadfile`."""
    return SharingScheduling(config, log) if config.getoption("dist") == "loadfile" else None


@pytest.fixture(scope="session", autouse=True)
def reaper() -> Iterator[Reaper]:
    """Ends with pytest all that tests start."""
    with Reaper() as reaper:
        yield reaper


@pytest.fixture(scope="session")
def keys() -> Keys:
    """The gateway's key pair."""
    return Keys()
