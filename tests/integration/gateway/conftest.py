"""A gateway before fakes of what stands behind it."""

import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.api.httpbody_pb2 import HttpBody
from headworks.gateway.v1 import openai_service_pb2_grpc

from gateway.app import wire
from gateway.settings import GatewaySettings
from services.runtime.server import App
from tests.fakes.identity import Keys
from tests.fakes.orchestrator import FakeOrchestrator
from tests.fakes.search import FakeRetrieval
from tests.fakes.serving import channel_for, serving
from tests.fakes.triton import FakeTriton

KEY = "hw_" + "a" * 40
BEARER = (("authorization", f"Bearer {KEY}"),)


@dataclass
class Gateway:
    """A gateway, and what it stands before."""

    channel: grpc.aio.Channel
    orchestrator: FakeOrchestrator
    retrieval: FakeRetrieval
    triton: FakeTriton
    openai: Any = field(init=False)

    def __post_init__(self) -> None:
        self.openai = openai_service_pb2_grpc.OpenAIServiceStub(self.channel)

    def chat(self, body: bytes | None = None, *, timeout: float | None = 20, **fields: Any) -> Any:
        ask = {"model": "rag", "messages": [{"role": "user", "content": "why?"}]} | fields
        request = HttpBody(content_type="application/json", data=json.dumps(ask).encode() if body is None else body)
        return self.openai.CreateChatCompletion(request, metadata=BEARER, timeout=timeout)

    async def embed(self, **fields: Any) -> dict[str, Any]:
        request = HttpBody(content_type="application/json", data=json.dumps(fields).encode())
        answer = await self.openai.CreateEmbedding(request, metadata=BEARER)
        assert answer.content_type == "application/json"
        found: dict[str, Any] = json.loads(answer.data)
        return found


MakeGateway = Callable[..., Awaitable[Gateway]]


@pytest.fixture
async def make_gateway(keys: Keys, tmp_path: Path) -> AsyncIterator[MakeGateway]:
    """Starts a gateway before the fakes that it is given; `behind` stands in for the orchestrator as a whole."""
    (tmp_path / "private.pem").write_bytes(keys.private_pem)
    digest = hashlib.sha256(KEY.encode()).hexdigest()
    stored = {"id": "dev", "prefix": KEY[:11], "sha256": digest, "tenant": "acme", "subject": "dev", "scopes": ["*"]}
    (tmp_path / "keys.json").write_text(json.dumps({"keys": [stored]}))

    async with AsyncExitStack() as stack:

        async def make(
            orchestrator: FakeOrchestrator | None = None,
            *,
            retrieval: FakeRetrieval | None = None,
            triton: FakeTriton | None = None,
            behind: App | None = None,
            **settings: Any,
        ) -> Gateway:
            fakes = orchestrator or FakeOrchestrator(), retrieval or FakeRetrieval(), triton or FakeTriton()
            served: tuple[object, ...] = (behind or fakes[0], *fakes[1:])
            verifiers = keys.verifier, keys.verifier, None
            targets = [
                await stack.enter_async_context(serving(fake, verifier=verifier))
                for fake, verifier in zip(served, verifiers, strict=True)
            ]
            configured = GatewaySettings(
                identity_private_key=tmp_path / "private.pem",
                api_keys_file=tmp_path / "keys.json",
                orchestrator_target=targets[0],
                retrieval_target=targets[1],
                triton_target=targets[2],
                **{"records_url": f"sqlite:///{tmp_path}/records.db", **settings},
            )
            app = await wire(configured)
            channel = await stack.enter_async_context(channel_for(app, settings=configured))
            return Gateway(channel, *fakes)

        yield make
