"""Fixtures that all tests share."""

import pytest
from hypothesis import HealthCheck, settings

from tests.fakes.identity import Keys
from tests.fakes.tiny_llm.fixtures import tiny_llm as tiny_llm

# A slow machine is no finding, and a test that passed today is to pass tomorrow.
settings.register_profile("steady", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("steady")


@pytest.fixture(scope="session")
def keys() -> Keys:
    """The gateway's key pair."""
    return Keys()
