"""What the edge listener is like: its address and its limits. Times are in seconds."""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Edge:
    """How Envoy listens for the world and how it treats the gateway behind it.

    `secrets` is Envoy's folder of SDS files: with it the listener speaks TLS. With `mutual` all services speak mutual
    TLS among themselves, and Envoy with the gateway, for which it needs `secrets`. By `token`, where there is one,
    gateways know what comes from Envoy.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    max_body_bytes: int = 4 << 20
    max_header_kb: int = 60
    max_headers: int = 100
    max_connections: int = 10_000
    max_streams_per_connection: int = 100
    request_timeout: float = 600.0
    idle_timeout: float = 300.0
    cors_origins: tuple[str, ...] = ()
    health_interval: float = 1.0
    ejection_seconds: float = 5.0
    max_gateway_requests: int = 4096
    secrets: Path | None = None
    mutual: bool = False
    token: str = field(default="", repr=False)
