"""The way out to servers that tenants name: which addresses are asked, and under which name."""

from collections.abc import Sequence

import httpx2
import pytest

from services.runtime.hosts import HostRule
from services.runtime.mcp.egress import Egress
from services.runtime.mcp.server import Unreachable
from tests.fakes.mcp_http import Seen, answering, listening, watched


def resolving(*addresses: str) -> "Resolver":
    return Resolver(addresses)


class Resolver:
    """Gives the addresses, and notes the names."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self._addresses = addresses
        self.names: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.names.append(host)
        return self._addresses


async def test_the_address_that_was_looked_up_is_asked_under_its_name() -> None:
    seen = Seen()
    async with listening(watched(answering(200, b"{}", content_type="application/json"), seen)) as url:
        port = url.rpartition(":")[2]
        rule = HostRule.parse(f"http://wiki.example:{port}")
        resolver = resolving("127.0.0.1")
        async with httpx2.AsyncClient(transport=Egress([], [rule], resolver=resolver)) as client:
            response = await client.get(f"http://wiki.example:{port}/mcp")
    assert (response.status_code, resolver.names) == (200, ["wiki.example"])
    assert seen.headers[0]["host"] == f"wiki.example:{port}"
    assert seen.headers[0]["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    ("url", "addresses", "said"),
    [
        ("https://wiki.example/mcp", ["93.184.215.14", "10.0.0.1"], "inside a private network"),
        ("https://wiki.example/mcp", ["::ffff:127.0.0.1"], "inside a private network"),
        ("https://wiki.example/mcp", ["169.254.169.254"], "inside a private network"),
        ("https://wiki.example/mcp", [], "has no address"),
        ("http://wiki.example/mcp", ["93.184.215.14"], "not allowed by the operator"),
        ("https://wiki.example:8443/mcp", ["93.184.215.14"], "not allowed by the operator"),
    ],
)
async def test_what_may_not_be_asked(url: str, addresses: list[str], said: str) -> None:
    egress = Egress([HostRule.parse("*")], resolver=resolving(*addresses))
    async with httpx2.AsyncClient(transport=egress) as client:
        with pytest.raises(Unreachable, match=said):
            await client.get(url)


async def test_a_redirect_is_held_to_the_same_rules() -> None:
    async with listening(answering(302, location="https://inside.example/")) as url:
        rule = HostRule.parse(url)
        egress = Egress([HostRule.parse("*.example")], [rule])
        async with httpx2.AsyncClient(transport=egress, follow_redirects=True) as client:
            with pytest.raises(Unreachable):
                await client.get(f"{url}/mcp")
