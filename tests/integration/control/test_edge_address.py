"""What the gateway may believe of where a caller comes from, behind a real Envoy."""

import httpx
import pytest

from gateway.identity.addresses import CallerAddresses, address_of
from services.runtime.call import Call
from tests.integration.control.harness import EDGE_TOKEN, Gateway


@pytest.mark.parametrize("claimed", ["6.6.6.6", "6.6.6.6, 7.7.7.7", ",", "6.6.6.6,127.0.0.1, 7.7.7.7"])
async def test_nobody_writes_their_own_address(gateway: Gateway, http: httpx.AsyncClient, claimed: str) -> None:
    await http.get("/v1/models")
    await http.get("/v1/models", headers={"x-forwarded-for": claimed})
    honest, told = (address_of(Call("/x", seen), proxies=1) for seen in gateway.seen)
    assert honest == told
    assert told not in claimed.split(", ")
    by_token = CallerAddresses(1, EDGE_TOKEN)
    assert [by_token.of(Call("/x", seen, peer="ipv4:10.9.9.9:1")) for seen in gateway.seen] == [honest, honest]
