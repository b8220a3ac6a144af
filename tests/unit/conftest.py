"""Holds unit tests to their tier: none starts or reaches a server or a process."""

import platform
import sys
from collections.abc import Iterator
from typing import Any, NoReturn

import grpc
import pytest

# Fixtures that start a server, or train a model.
SERVERS = {"running_postgres", "running_redis", "records_url", "tiny_llm"}
# What Python tells its audit hooks when a process is started.
STARTS = {"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.system"}
# Nothing is reached over TCP or UDP, in this process either. A port may be looked at: binding is no listening.
NETWORK = {"socket.connect", "socket.sendto"}


class NotAUnit(BaseException):
    """The test belongs in tests/integration. No `except Exception` hides it."""


class Guard:
    """Raises where the tier is left, and remembers it for where that is swallowed."""

    def __init__(self) -> None:
        self._active = False
        self._seen: list[str] = []
        platform.platform()  # asks uname, once
        sys.addaudithook(self._hear)

    def __enter__(self) -> None:
        self._active, self._seen = True, []

    def __exit__(self, *_: object) -> None:
        self._active = False
        if self._seen:
            pytest.fail(f"this test belongs in tests/integration: {', '.join(self._seen)}")

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self._active and (event in STARTS or (event in NETWORK and isinstance(arguments[1], tuple))):
            self.refuse(event)

    def refuse(self, what: str) -> NoReturn:
        self._seen.append(what)
        raise NotAUnit(what)


GUARD = Guard()


@pytest.fixture(autouse=True)
def tier(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Around every unit test."""
    servers = SERVERS.intersection(request.fixturenames)
    if servers:
        pytest.fail(f"this test belongs in tests/integration: it uses {', '.join(sorted(servers))}")
    monkeypatch.setattr(grpc.aio, "server", lambda *_, **__: GUARD.refuse("grpc.aio.server"))
    with GUARD:
        yield
