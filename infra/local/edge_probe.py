"""Asks the edge whether it lets callers through to the gateway and the services behind it."""

import asyncio
import contextlib

from infra.local.ports import HOST
from infra.local.spec import Health, Ports

LIMIT = 3.0


class EdgeReady:
    """Ready when Envoy says so and a request with the development key gets through.

    The request is made until it has succeeded, then Envoy's own word is enough: the processes behind it are watched
    one by one.
    """

    def __init__(self, key: str) -> None:
        self._key = key
        self._passed_at = 0

    async def check(self, ports: Ports) -> Health:
        live = await get(ports["admin"], "/ready")
        if live != 200:
            self._passed_at = 0
            return Health(False, "waits for control" if live else "not answering yet")
        if self._passed_at == ports["edge"]:
            return Health(True)
        status = await get(ports["edge"], "/v1/models", {"authorization": f"Bearer {self._key}"})
        if status != 200:
            return Health(False, f"a request through it gets {status}" if status else "waits for its listener")
        self._passed_at = ports["edge"]
        return Health(True)

    async def aclose(self) -> None:
        pass


async def get(port: int, path: str, headers: dict[str, str] | None = None, host: str = HOST) -> int:
    """The HTTP status of a GET; 0 where there was no answer."""
    lines = [f"GET {path} HTTP/1.1", f"host: {host}:{port}", "connection: close"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    try:
        async with asyncio.timeout(LIMIT):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
                status = await reader.readline()
            finally:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
    except (OSError, TimeoutError, ValueError):
        return 0
    parts = status.split()
    return int(parts[1]) if len(parts) > 1 and parts[1].isdigit() else 0
