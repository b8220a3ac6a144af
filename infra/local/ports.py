"""Free ports on the loopback interface, and claims that keep the meshes of one machine off each other's."""

import contextlib
import random
import socket
import weakref
from collections.abc import Collection

HOST = "127.0.0.1"
# Below the range that the kernel takes the ports of outgoing connections from, so that none of those gets in between.
FIRST, LAST = 20_000, 32_000
TRIES = 500
SCOPE = "headworks"


class NoFreePort(Exception):
    """No port could be found."""


def is_free(port: int, host: str = HOST) -> bool:
    """Whether a server could listen at the port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def pick() -> int:
    """A port that is free and that no mesh has claimed, as things stand. Raises NoFreePort."""
    with contextlib.closing(PortBook()) as book:
        return book.take()


class PortBook:
    """Hands out ports, none of them twice, whoever else on the machine has such a book of the same `scope`.

    A port is claimed from when it is handed out, also while nobody listens at it, until it is given back, the book is
    closed or its process ends. A claim is a Unix socket with an abstract name: these share the ports' network
    namespace, and the kernel takes them back.
    """

    def __init__(self, first: int = FIRST, last: int = LAST, scope: str = SCOPE) -> None:
        self._range = (first, last)
        self._scope = scope
        self._claims: dict[int, socket.socket] = {}
        self.close = weakref.finalize(self, _close, self._claims)

    def take(self) -> int:
        """A free port, claimed. Raises NoFreePort."""
        for _ in range(TRIES):
            port = random.randrange(*self._range)  # noqa: S311 (not a secret)
            if port not in self._claims and self.claim(port):
                if is_free(port):
                    return port
                self.give_back(port)
        first, last = self._range
        raise NoFreePort(f"none of {TRIES} ports tried between {first} and {last} is free on {HOST}")

    def claim(self, port: int) -> bool:
        """Reserve a port that was chosen elsewhere; False where another book has it."""
        if port in self._claims:
            return True
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0{self._scope}-port-{port}")
        except OSError:
            claim.close()
            return False
        self._claims[port] = claim
        return True

    def claim_all(self, ports: Collection[int]) -> None:
        """Reserve those of the ports that can be."""
        for port in ports:
            self.claim(port)

    def give_back(self, port: int) -> None:
        if claim := self._claims.pop(port, None):
            claim.close()


def _close(claims: dict[int, socket.socket]) -> None:
    for claim in claims.values():
        claim.close()
    claims.clear()
