"""A gateway with one bare model, `small`, and its upstream; or with an orchestrator, which asks a model in runs."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.llm.settings import LlmSettings
from services.orchestrator.app import wire
from services.orchestrator.settings import OrchestratorSettings
from tests.fakes.identity import Keys
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


@pytest.fixture
async def with_runs(make_gateway: MakeGateway, keys: Keys, tmp_path: Path) -> AsyncIterator[Before]:
    """The same with an orchestrator behind the gateway, and a model `run` that is asked through runs."""
    async with AsyncExitStack() as stack:

        async def made(*behaviours: Behaviour) -> tuple[Gateway, FakeOpenAi]:
            nowhere = "127.0.0.1:1"
            upstream = await stack.enter_async_context(FakeOpenAi(*behaviours).serving())
            model = {"name": "run", "generator": "openai", "base_url": upstream.url, "model": "small-2026"}
            (tmp_path / "models.yaml").write_text(yaml.safe_dump({"models": [model], "default": "run"}))
            (tmp_path / "public.pem").write_bytes(keys.public_pem)
            settings = OrchestratorSettings(
                retrieval_target=nowhere, triton_target=nowhere, peers_target=nowhere, identity_target=nowhere,
                identity_public_key=tmp_path / "public.pem", records_url=f"sqlite:///{tmp_path}/runs.db",
            )  # fmt: skip
            orchestrator = await wire(settings, LlmSettings(models_file=tmp_path / "models.yaml"))
            return await make_gateway(behind=orchestrator), upstream

        yield made
