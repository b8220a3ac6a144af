"""What no answer of a model can pass."""

import asyncio
from collections.abc import AsyncGenerator
from types import SimpleNamespace

import pytest

from services.llm.generation import Piece, Said
from services.orchestrator.agents.loop import bounds
from services.orchestrator.agents.loop.bounds import BrokenOff, bounded
from services.orchestrator.agents.loop.limits import SECONDS


async def silent() -> AsyncGenerator[Said, None]:
    await asyncio.Event().wait()
    yield Piece("never")


async def late() -> AsyncGenerator[Said, None]:
    raise TimeoutError("of its own")
    yield Piece("never")


async def test_time_is_over_when_the_timer_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may go off a little before the clock that the end was reckoned by has come to it."""
    monkeypatch.setattr(bounds, "time", SimpleNamespace(monotonic=lambda: 100.0))
    with pytest.raises(BrokenOff) as broken:
        await anext(bounded(silent(), ends=100.001))
    assert broken.value.limit == SECONDS


async def test_a_timeout_of_somebody_else_is_another_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "time", SimpleNamespace(monotonic=lambda: 100.0))
    with pytest.raises(TimeoutError):
        await anext(bounded(late(), ends=160.0))
