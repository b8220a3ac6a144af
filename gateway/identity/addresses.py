"""Where callers come from, and how many failed authentications one address has."""

import hmac
import ipaddress
import time
from collections import OrderedDict
from functools import lru_cache

from gateway.identity.errors import TooManyAttempts
from services.runtime.call import Call

FORWARDED = "x-forwarded-for"
EDGE_KEY = "x-headworks-edge"
"""What Envoy alone sends, and removes from what callers send: a token that it shares with the gateways."""
# Who has an IPv6 address has 2**64 of them.
_NETWORK = 64


class CallerAddresses:
    """Where calls come from. `proxies`: how many of our own stand before the gateway. `edge_token`: what Envoy shows
    that it is Envoy by; where there is one, what others say of an address counts for nothing."""

    def __init__(self, proxies: int, edge_token: str = "") -> None:
        self._proxies = proxies
        self._edge_token = edge_token.encode()

    def of(self, call: Call) -> str:
        return address_of(call, self._proxies if self._by_the_edge(call) else 0)

    def _by_the_edge(self, call: Call) -> bool:
        given = call.metadata.get(EDGE_KEY, "").encode()
        return not self._edge_token or hmac.compare_digest(given, self._edge_token)


def address_of(call: Call, proxies: int) -> str:
    """The caller's address: what the outermost of our own `proxies` saw, or the peer where there are none. What stands
    further to the left in the header the caller may have written itself."""
    if proxies:
        hops = call.metadata.get(FORWARDED, "").rsplit(",", proxies)[-proxies:]
        if len(hops) == proxies and (hop := hops[0].rpartition(",")[2].strip()):
            return _network(hop)
    return _network(_host(call.peer))


def _host(peer: str) -> str:
    """The address of gRPC's "ipv4:10.0.0.1:5000" and "ipv6:%5B::1%5D:5000"."""
    kind, _, rest = peer.partition(":")
    if kind not in ("ipv4", "ipv6"):
        return peer
    return rest.rpartition(":")[0].replace("%5B", "").replace("%5D", "").strip("[]")


@lru_cache(4_096)
def _network(address: str) -> str:
    """What counts as one address."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    if isinstance(found, ipaddress.IPv6Address):
        mapped = found.ipv4_mapped
        return str(mapped) if mapped else str(ipaddress.ip_network((found, _NETWORK), strict=False))
    return str(found)


class FailedAuthenticationLimiter:
    """Buckets of attempts: an address has `burst` of them, and gets `per_second` back. What succeeds is given back, so
    that only failures count. The `most` addresses seen last are remembered."""

    def __init__(self, per_second: float, burst: int, most: int = 100_000) -> None:
        self._per_second = per_second
        self._burst = float(burst)
        self._most = most
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, address: str) -> None:
        """One more attempt. Raises TooManyAttempts, saying when the next may be made."""
        now = time.monotonic()
        left, since = self._buckets.get(address, (self._burst, now))
        left = min(self._burst, left + (now - since) * self._per_second)
        if left < 1:
            raise TooManyAttempts((1 - left) / self._per_second)
        self._put(address, left - 1, now)

    def give_back(self, address: str) -> None:
        """The attempt was none: the caller is known."""
        if address in self._buckets:
            left, since = self._buckets[address]
            self._put(address, min(self._burst, left + 1), since)

    def _put(self, address: str, left: float, since: float) -> None:
        self._buckets[address] = left, since
        self._buckets.move_to_end(address)
        if len(self._buckets) > self._most:
            self._buckets.popitem(last=False)
