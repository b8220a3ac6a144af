"""control's settings: HEADWORKS_CONTROL_…"""

from pathlib import Path
from typing import ClassVar, Self

from pydantic import Field, model_validator

from services.control.edge import SYSTEM_CA, Collector, Edge
from services.runtime.settings import ServerSettings, read_token


class ControlSettings(ServerSettings):
    """The settings of control. The edge settings become Envoy's listener."""

    service: ClassVar[str] = "control"

    drain_seconds: float = Field(
        0.2,
        ge=0,
        description="After SIGTERM: how long streams may go on; short, for xDS clients keep what they have.",
    )
    state_file: Path | None = Field(
        None,
        description="File that holds the topology, so that a restarted control knows it; none keeps it in memory.",
    )
    edge_host: str = Field("127.0.0.1", description="Address Envoy listens on for callers of the mesh.")
    edge_port: int = Field(8080, ge=1, le=65535, description="Port Envoy listens on: HTTP, gRPC and gRPC-Web alike.")
    max_body_bytes: int = Field(
        4 << 20, gt=0, description="Longest body of an HTTP request, in bytes; a longer one gets 413."
    )
    max_header_kb: int = Field(
        60, ge=1, le=8192, description="All headers of a request together, in KiB; more get 431."
    )
    max_headers: int = Field(100, ge=10, description="Number of headers a request may have; more get 431.")
    max_connections: int = Field(
        10_000, gt=0, description="Connections the edge listener holds; more are closed at once."
    )
    max_streams_per_connection: int = Field(100, gt=0, description="Calls under way at once on one HTTP/2 connection.")
    request_timeout_seconds: float = Field(
        600, gt=0, description="Longest time an HTTP request may take, its stream included; then 504."
    )
    idle_timeout_seconds: float = Field(
        300, gt=0, description="Longest silence on a stream, HTTP or gRPC, before it is ended."
    )
    cors_origins: list[str] = Field(
        [], description='Origins whose pages may call from a browser, such as ["https://app.example"]; ["*"] for all.'
    )
    health_interval_seconds: float = Field(1, gt=0, description="Time between two health checks of a gateway replica.")
    ejection_seconds: float = Field(5, gt=0, description="How long a replica that keeps failing is left out, at first.")
    max_gateway_requests: int = Field(
        4096, gt=0, description="Requests under way to all gateway replicas together; more get 503."
    )
    edge_secrets: Path | None = Field(
        None,
        description="Folder, as Envoy sees it, of the SDS files edge.json, mesh.json and ca.json; with it the edge "
        "speaks TLS. Needed with tls_certificate, for then Envoy calls the gateway by mutual TLS.",
    )

    edge_token_file: Path | None = Field(
        None,
        description="File with a token that Envoy sends with every call, by which gateways know it "
        "(HEADWORKS_GATEWAY_EDGE_TOKEN_FILE); none sends none.",
    )

    @model_validator(mode="after")
    def _tells_envoy_of_certificates(self) -> Self:
        if self.tls and not self.edge_secrets:
            raise ValueError("with tls_certificate Envoy needs certificates too: give edge_secrets")
        return self

    def edge(self) -> Edge:
        """The edge part of these settings. Raises OSError or ValueError where the token cannot be read."""
        return Edge(
            host=self.edge_host,
            port=self.edge_port,
            max_body_bytes=self.max_body_bytes,
            max_header_kb=self.max_header_kb,
            max_headers=self.max_headers,
            max_connections=self.max_connections,
            max_streams_per_connection=self.max_streams_per_connection,
            request_timeout=self.request_timeout_seconds,
            idle_timeout=self.idle_timeout_seconds,
            cors_origins=tuple(self.cors_origins),
            health_interval=self.health_interval_seconds,
            ejection_seconds=self.ejection_seconds,
            max_gateway_requests=self.max_gateway_requests,
            secrets=self.edge_secrets,
            mutual=self.tls is not None,
            collector=self._collector(),
            token=read_token(self.edge_token_file) if self.edge_token_file else "",
        )

    def _collector(self) -> Collector | None:
        export = self.trace_export
        if not export.on:
            return None
        return Collector(export.collector, export.http, export.headers, export.new_traces, export.ca or SYSTEM_CA)
