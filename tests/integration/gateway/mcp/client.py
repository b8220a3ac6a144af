"""The protocol's own client, as programs use it, before a gateway."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from tests.integration.gateway.conftest import HEADERS, Gateway

MODES = ("legacy", "auto")
"""With the handshake of protocols until 2025-11-25, and without, as from 2026-07-28 on."""


@asynccontextmanager
async def client_of(gateway: Gateway, mode: Any = "auto", **headers: str) -> AsyncIterator[Client]:
    url = f"{gateway.http.base_url}/mcp"
    async with (
        httpx2.AsyncClient(headers=HEADERS | headers, trust_env=False, timeout=20) as http,
        Client(streamable_http_client(url, http_client=http), mode=mode, cache=None) as client,
    ):
        yield client
