"""Channels to other services: one per target for the life of the process, with keepalive and safe retries."""

import json

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from grpc import experimental

from services.runtime.contract import may_retry
from services.runtime.tls import TlsFiles

MAX_MESSAGE = 16 << 20


def service_config(services: list[ServiceDescriptor]) -> str:
    """A gRPC service config that retries what the protos allow. xds:/// targets get theirs by xDS instead."""
    names = [
        {"service": service.full_name, "method": method.name}
        for service in services
        for method in service.methods
        if may_retry(method)
    ]
    policy = {
        "maxAttempts": 4,
        "initialBackoff": "0.1s",
        "maxBackoff": "0.5s",
        "backoffMultiplier": 2,
        "retryableStatusCodes": ["UNAVAILABLE"],
    }
    return json.dumps(
        {
            "loadBalancingConfig": [{"round_robin": {}}],
            "methodConfig": [{"name": names, "retryPolicy": policy}] if names else [],
        }
    )


def open_channel(
    target: str, services: list[ServiceDescriptor] | None = None, tls: TlsFiles | None = None
) -> grpc.aio.Channel:
    """A channel to `target`: xds:///NAME inside the mesh, or any gRPC target such as dns:///host:port.

    With `tls` it is mutual TLS. To an xds:/// target control says how, and gRPC reads the files that its bootstrap
    names, again when they change; to any other `tls` is what the channel shows for its whole life. Raises
    BadCertificates.
    """
    options: list[tuple[str, str | int]] = [
        ("grpc.max_receive_message_length", MAX_MESSAGE),
        ("grpc.max_send_message_length", MAX_MESSAGE),
        # Its own connections: one shared with a closed channel to the same address may still be backing off.
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", 5_000),  # in truth how long one attempt to connect may take
        # A service that is started anew is there within seconds, and nobody should have to wait longer than for that.
        ("grpc.max_reconnect_backoff_ms", 300),
    ]
    if not target.startswith("xds:"):
        options.append(("grpc.service_config", service_config(services or [])))
    credentials = tls.client() if tls else None
    if target.startswith("xds:"):
        plain = experimental.insecure_channel_credentials()  # type: ignore[no-untyped-call]
        credentials = grpc.xds_channel_credentials(credentials or plain)
    if credentials is None:
        return grpc.aio.insecure_channel(target, options=options)
    return grpc.aio.secure_channel(target, credentials, options=options)
