"""Which hosts may be asked over HTTP, and at which addresses."""

import asyncio
import ipaddress
import re
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

ANY = "*"
PORTS = {"https": 443, "http": 80}
RULE = re.compile(r"(?:(https?)://)?(\*|(?:\*\.)?[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::(\d{1,5}))?")
NAT64 = ipaddress.ip_network("64:ff9b::/96")
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
# The addresses of a host and port.
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


@dataclass(frozen=True, slots=True)
class HostRule:
    """Hosts that may be asked: by name, *.name for the names beneath it, or * for all; one scheme and one port."""

    scheme: str
    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> "HostRule":
        """[https://|http://]HOST[:PORT]; https, and the scheme's own port, where they are left out. Raises
        ValueError."""
        match = RULE.fullmatch(text.strip().lower())
        if match is None:
            raise ValueError(f"{text!r} is no host: example.com, *.example.com, example.com:8443 or http://example.com")
        scheme = match[1] or "https"
        port = int(match[3]) if match[3] else PORTS[scheme]
        if not 0 < port < 1 << 16:
            raise ValueError(f"{text!r} has no such port")
        return cls(scheme, match[2].strip("[]"), port)

    def allows(self, scheme: str, host: str, port: int) -> bool:
        return (scheme, port) == (self.scheme, self.port) and self._names(host.lower().rstrip("."))

    def covers(self, other: "HostRule") -> bool:
        """Whether all that `other` allows is allowed by this one too."""
        return (other.scheme, other.port) == (self.scheme, self.port) and self._names(other.host)

    def _names(self, host: str) -> bool:
        if self.host == ANY:
            return True
        return host.endswith(self.host[1:]) if self.host.startswith("*.") else host == self.host

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}"


def is_public(text: str) -> bool:
    """Whether the address is one of the internet's: not private, loopback, link-local, shared, reserved or multicast,
    nor an IPv6 form of such an IPv4 address."""
    address: Address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]
        if address in NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        address = inner or address
    return address.is_global and not address.is_multicast


async def resolve(host: str, port: int) -> Sequence[str]:
    """The system's answer. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def resolve_now(host: str, port: int) -> Sequence[str]:
    """The same outside of an event loop. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))
