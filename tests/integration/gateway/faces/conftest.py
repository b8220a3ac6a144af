"""A gateway with one bare model, `small`, and the upstream behind it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.fakes.openai_upstream import Behaviour, FakeOpenAi
from tests.integration.gateway.conftest import Gateway, MakeGateway

Before = Callable[..., Awaitable[tuple[Gateway, FakeOpenAi]]]


@pytest.fixture
async def before(make_gateway: MakeGateway, tmp_path: Path) -> AsyncIterator[Before]:
    """Starts both; the upstream behaves as told, `entry` is more of the model's in the catalogue."""
    async with AsyncExitStack() as stack:

        async def made(
            *behaviours: Behaviour, guards: str = "", entry: dict[str, Any] | None = None, **settings: Any
        ) -> tuple[Gateway, FakeOpenAi]:
            upstream = await stack.enter_async_context(FakeOpenAi(*behaviours).serving())
            model = {
                "name": "small",
                "generator": "openai",
                "bare": True,
                "base_url": upstream.url,
                "model": "small-2026",
            }
            (tmp_path / "models.yaml").write_text(yaml.safe_dump({"models": [model | (entry or {})]}))
            if guards:
                (tmp_path / "guards.yaml").write_text(guards)
                settings["guards_file"] = tmp_path / "guards.yaml"
            return await make_gateway(upstreams_file=tmp_path / "models.yaml", **settings), upstream

        yield made
