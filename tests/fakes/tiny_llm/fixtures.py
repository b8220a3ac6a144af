"""Pytest fixtures: import them into a conftest."""

from pathlib import Path

import pytest

from tests.fakes.tiny_llm.checkpoint import tiny_llm as made


@pytest.fixture(scope="session")
def tiny_llm() -> Path:
    """The folder of a tiny model that answers the prompts of its scenarios."""
    return made()
