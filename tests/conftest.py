"""Fixtures that all tests share."""

import pytest

from tests.fakes.identity import Keys


@pytest.fixture(scope="session")
def keys() -> Keys:
    """The gateway's key pair."""
    return Keys()
