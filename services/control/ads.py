"""One aggregated discovery stream, state of the world, as a state machine: requests in, responses out, no I/O.

The client subscribes per type of resource, by names or, with none at first (or "*"), to all. Each response has a nonce
that the client's next request of that type echoes: without an error it is an ACK, with one a NACK, after which the
client goes on with what it had. A request with an older nonce crossed with a response and counts for nothing. Nothing
is sent twice: a response follows only when what the client would get has changed.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from services.control.resources.wire import CDS, LDS, TYPES, Resource
from services.control.snapshot import Snapshot

COMPLETE = (LDS, CDS)
"""Types of which a response is the whole state: what is not in it is gone. Of the others, absence says nothing."""
MAX_NAMES = 10_000


@dataclass(frozen=True, slots=True)
class Request:
    """One message from the client. `error` is the reason of a NACK; None otherwise."""

    type: str
    names: frozenset[str] = frozenset()
    nonce: str = ""
    version: str = ""
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Response:
    """One message to the client: all of the type's resources that it subscribes to."""

    type: str
    version: str
    nonce: str
    resources: tuple[Resource, ...]


Verdict = Literal["subscribe", "ack", "nack", "stale", "ignored"]
"""How a request was understood."""


@dataclass(slots=True)
class Subscription:
    """What the client wants of one type, and what it was last sent: names and versions."""

    names: frozenset[str] = frozenset()
    wildcard: bool = False
    nonce: str = ""
    sent: dict[str, str] | None = None
    acked: str = ""

    def narrow(self, names: frozenset[str]) -> None:
        """Take over the names of a request. Once names were given, none means nothing rather than everything."""
        self.wildcard = "*" in names or (not names and (self.wildcard or self.sent is None) and not self.names)
        self.names = names - {"*"}

    def wanted(self, snapshot: Snapshot, type_url: str) -> dict[str, Resource]:
        available = snapshot.of(type_url)
        return {name: one for name, one in available.items() if self.wildcard or name in self.names}


@dataclass(slots=True)
class Stream:
    """The state of one client's stream."""

    snapshot: Snapshot
    _subscriptions: dict[str, Subscription] = field(default_factory=dict)
    _count: int = 0

    def on_request(self, request: Request) -> tuple[Verdict, Response | None]:
        """What the request was, and what to answer, if anything.

        Raises ValueError for more names than any client has reason to ask for.
        """
        if request.type not in TYPES:
            return "ignored", None
        if len(request.names) > MAX_NAMES:
            raise ValueError(f"{len(request.names)} names in one request; {MAX_NAMES} is the limit")
        subscription = self._subscriptions.get(request.type)
        if subscription is None:
            subscription = self._subscriptions[request.type] = Subscription()
            subscription.narrow(request.names)
            return "subscribe", self._respond(request.type, subscription)
        if request.nonce != subscription.nonce:
            return "stale", None
        subscription.narrow(request.names)
        verdict = self._note(subscription, request)
        return verdict, self._respond(request.type, subscription)

    def on_snapshot(self, snapshot: Snapshot) -> Iterator[Response]:
        """What to send for a new snapshot: make before break, and only what differs for this client."""
        self.snapshot = snapshot
        for type_url in TYPES:
            subscription = self._subscriptions.get(type_url)
            response = subscription and self._respond(type_url, subscription)
            if response:
                yield response

    def acked(self, type_url: str) -> str:
        """The version of the type that the client last accepted; empty if none."""
        subscription = self._subscriptions.get(type_url)
        return subscription.acked if subscription else ""

    def _note(self, subscription: Subscription, request: Request) -> Verdict:
        if request.error is not None:
            return "nack"
        subscription.acked = request.version
        return "ack"

    def _respond(self, type_url: str, subscription: Subscription) -> Response | None:
        wanted = subscription.wanted(self.snapshot, type_url)
        versions = {name: one.version for name, one in wanted.items()}
        if not _news(type_url, subscription.sent, versions):
            return None
        self._count += 1
        subscription.sent, subscription.nonce = versions, str(self._count)
        ordered = tuple(wanted[name] for name in sorted(wanted))
        return Response(type_url, self.snapshot.versions[type_url], subscription.nonce, ordered)


def _news(type_url: str, sent: dict[str, str] | None, now: dict[str, str]) -> bool:
    """Whether the client would learn something. Of the partial types an empty response or a mere absence is no news."""
    if type_url in COMPLETE:
        return sent != now
    return any((sent or {}).get(name) != version for name, version in now.items())
