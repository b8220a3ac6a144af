"""The way out to URLs that others name: only to hosts that the operator allows, only to addresses that were checked,
and only so much comes back."""

from collections.abc import AsyncIterator, Sequence

import httpx2

from services.runtime.hosts import PORTS, HostRule, Resolve, is_public, resolve
from services.runtime.mcp.server import Unreachable

MOST_BYTES = 16 << 20
"""Of one response. Of a stream its reader bounds each event."""
STREAM = "text/event-stream"


class Egress(httpx2.AsyncBaseTransport):
    """Asks each host by its name and with its certificate at an address that was looked up and checked before: a name
    cannot lead elsewhere between the two. Redirects, and what OAuth leads to, come this way too.

    `hosts` are those that may be asked, `private` those of them that may have addresses that are not the internet's.
    """

    def __init__(
        self, hosts: Sequence[HostRule], private: Sequence[HostRule] = (), *, most_bytes: int = MOST_BYTES,
        resolver: Resolve = resolve,
    ) -> None:  # fmt: skip
        self._hosts = (*hosts, *private)
        self._private = tuple(private)
        self._most_bytes = most_bytes
        self._resolve = resolver
        # One for each name: a connection is kept for the name that its certificate was checked for.
        self._transports: dict[str, httpx2.AsyncHTTPTransport] = {}

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Raises Unreachable, httpx2.TransportError."""
        url = request.url
        address = await self._address(url)
        transport = self._transports.get(url.host)
        if transport is None:
            transport = self._transports[url.host] = httpx2.AsyncHTTPTransport(trust_env=False)
        request.headers["accept-encoding"] = "identity"  # what is read is what was counted
        asked = httpx2.Request(
            request.method, url.copy_with(host=address), headers=request.headers, stream=request.stream,
            extensions={**request.extensions, "sni_hostname": url.raw_host.decode("ascii")},
        )  # fmt: skip
        response = await transport.handle_async_request(asked)
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            await response.aclose()
            raise Unreachable(f"{url.host} answers compressed, which was not asked for")
        if not response.headers.get("content-type", "").startswith(STREAM):
            response.stream = _Bounded(response.stream, self._most_bytes, url.host)
        return response

    async def aclose(self) -> None:
        for transport in self._transports.values():
            await transport.aclose()

    async def _address(self, url: httpx2.URL) -> str:
        port = url.port or PORTS.get(url.scheme, 0)
        if not any(rule.allows(url.scheme, url.host, port) for rule in self._hosts):
            raise Unreachable(f"{url.scheme}://{url.host}:{port} is not allowed by the operator")
        try:
            addresses = await self._resolve(url.host, port)
        except OSError as error:
            raise Unreachable(f"the name {url.host} could not be resolved") from error
        private = any(rule.allows(url.scheme, url.host, port) for rule in self._private)
        if not private and not all(is_public(address) for address in addresses):
            raise Unreachable(f"{url.host} has an address inside a private network")
        if not addresses:
            raise Unreachable(f"the name {url.host} has no address")
        return addresses[0]


class _Bounded(httpx2.AsyncByteStream):
    """What comes, until it is too much."""

    def __init__(self, stream: object, most: int, host: str) -> None:
        assert isinstance(stream, httpx2.AsyncByteStream)  # noqa: S101 (for the type checker)
        self._stream = stream
        self._most = most
        self._host = host

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for chunk in self._stream:
            size += len(chunk)
            if size > self._most:
                raise Unreachable(f"{self._host} answers with more than {self._most >> 20} MiB")
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()
