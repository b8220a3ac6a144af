"""A gateway before fakes of what stands behind it, and a gateway's records alone."""

import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from sqlalchemy import text

from gateway.app import wire
from gateway.schema.schema import SCHEMA
from gateway.settings import GatewaySettings
from services.runtime.records.database import Database
from services.runtime.records.schema import Schema
from services.runtime.server import App
from tests.fakes.http_calls import HttpCall, http_of
from tests.fakes.identity import Keys
from tests.fakes.orchestrator import FakeOrchestrator, with_no_agents
from tests.fakes.search import FakeRetrieval
from tests.fakes.serving import channel_for, serving
from tests.fakes.triton import FakeTriton

KEY = "hw_" + "a" * 40
BEARER = (("authorization", f"Bearer {KEY}"),)
HEADERS = dict(BEARER)


@dataclass
class Gateway:
    """A gateway, and what it stands before."""

    channel: grpc.aio.Channel
    orchestrator: FakeOrchestrator
    retrieval: FakeRetrieval
    triton: FakeTriton
    http: httpx.AsyncClient

    def ask(self, verb: str, path: str, body: bytes | None = None, **headers: str) -> HttpCall:
        """A call of a path; its headers replace those of every call."""
        kind = {} if body is None else {"content-type": "application/json"}
        return HttpCall(self.http, verb, path, body, HEADERS | kind | headers)

    def chat(self, body: bytes | None = None, *, timeout: float | None = 20, **fields: Any) -> HttpCall:
        ask = {"model": "rag", "messages": [{"role": "user", "content": "why?"}]} | fields
        limit = {} if timeout is None else {"x-headworks-timeout": str(timeout)}
        sent = json.dumps(ask).encode() if body is None else body
        return self.ask("POST", "/v1/chat/completions", sent, **limit)

    def embed_raw(self, body: bytes) -> HttpCall:
        return self.ask("POST", "/v1/embeddings", body)

    async def embed(self, **fields: Any) -> dict[str, Any]:
        answer = await self.embed_raw(json.dumps(fields).encode()).whole()
        assert answer.content_type == "application/json"
        found: dict[str, Any] = json.loads(answer.data)
        return found


async def rows(url: str, query: str) -> list[tuple[Any, ...]]:
    """What a query selects of a gateway's records."""
    database = Database(url, SCHEMA)
    try:
        async with database.read() as connection:
            return [tuple(row) for row in await connection.execute(text(query))]
    finally:
        await database.aclose()


MakeGateway = Callable[..., Awaitable[Gateway]]


@pytest.fixture
async def database(records_url: str) -> AsyncIterator[Database]:
    """The gateway's records, without a row, over both databases."""
    opened = Database(records_url, SCHEMA)
    await opened.open()
    yield opened
    await opened.aclose()


@pytest.fixture
async def make_gateway(
    keys: Keys, tmp_path: Path, migrated_sqlite: Callable[[Schema, Path], str]
) -> AsyncIterator[MakeGateway]:
    """Starts a gateway before the fakes that it is given; `behind` stands in for the orchestrator as a whole.

    Its records are in SQLite. Tests of what is on record give it a `records_url`, a fixture that they take before this
    one: it is closed before its database goes.
    """
    (tmp_path / "private.pem").write_bytes(keys.private_pem)
    records_url = migrated_sqlite(SCHEMA, tmp_path / "records.db")
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
            served: tuple[object, ...] = (behind or with_no_agents(fakes[0]), *fakes[1:])
            verifiers = keys.verifier, keys.verifier, None
            targets = [
                await stack.enter_async_context(serving(fake, verifier=verifier))
                for fake, verifier in zip(served, verifiers, strict=True)
            ]
            configured = GatewaySettings(
                identity_private_key=tmp_path / "private.pem",
                api_keys_file=tmp_path / "keys.json",
                orchestrator_target=targets[0],
                triton_target=targets[2],
                **{
                    "retrieval_target": targets[1],
                    "records_url": records_url,
                    **settings,
                },
            )
            app = await wire(configured)
            channel = await stack.enter_async_context(channel_for(app, settings=configured))
            return Gateway(channel, *fakes, await stack.enter_async_context(http_of(app)))

        yield make
