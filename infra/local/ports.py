"""Free ports on the loopback interface."""

import random
import socket
from collections.abc import Iterable

HOST = "127.0.0.1"
# Below the range that the kernel takes the ports of outgoing connections from, so that none of those gets in between.
FIRST, LAST = 20_000, 32_000
TRIES = 500


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


def pick(taken: Iterable[int] = (), host: str = HOST) -> int:
    """A free port that is not in `taken`. Raises NoFreePort."""
    avoid = set(taken)
    for _ in range(TRIES):
        port = random.randrange(FIRST, LAST)  # noqa: S311 (not a secret)
        if port not in avoid and is_free(port, host):
            return port
    raise NoFreePort(f"none of {TRIES} ports tried between {FIRST} and {LAST} is free on {host}")


class PortBook:
    """Hands out ports, none of them twice."""

    def __init__(self) -> None:
        self._taken: set[int] = set()

    def take(self) -> int:
        port = pick(self._taken)
        self._taken.add(port)
        return port

    def give_back(self, port: int) -> None:
        self._taken.discard(port)
