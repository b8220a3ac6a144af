"""What the edge listener is like: its address and its limits. Times are in seconds."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

SYSTEM_CA = "/etc/ssl/certs/ca-certificates.crt"


@dataclass(frozen=True, slots=True)
class Collector:
    """Where Envoy's spans go: the URL of an OTLP collector, by gRPC or, with its whole path, by HTTP. `ratio` is the
    share of new traces that are recorded; `ca` the file of the authorities to trust where it is https."""

    url: str
    http: bool = False
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    ratio: float = 1.0
    ca: str = SYSTEM_CA


@dataclass(frozen=True, slots=True)
class Edge:
    """How Envoy listens for the world and how it treats the gateway behind it.

    `secrets` is Envoy's folder of SDS files: with it the listener speaks TLS. With `mutual` all services speak mutual
    TLS among themselves, and Envoy with the gateway, for which it needs `secrets`. By `token`, where there is one,
    gateways know what comes from Envoy. `envoy`: the instance that its spans name.
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
    collector: Collector | None = None
    envoy: str = "envoy-0"
    token: str = field(default="", repr=False)
