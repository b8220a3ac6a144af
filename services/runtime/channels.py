"""Channels to other services: one per target for the life of the process, with keepalive and safe retries."""

import json
from collections.abc import Iterable, Sequence

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from grpc import experimental

from services.runtime import proxies
from services.runtime.contract import retryable_paths
from services.runtime.sockets import is_unix
from services.runtime.tls import TlsFiles

MAX_MESSAGE = 16 << 20


def service_config(retried: Iterable[str]) -> str:
    """A gRPC service config that retries the methods at these paths. xds:/// targets get theirs by xDS instead."""
    parted = (path.removeprefix("/").partition("/") for path in retried)
    names = [{"service": service, "method": method} for service, _, method in parted]
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
    target: str,
    services: list[ServiceDescriptor] | None = None,
    tls: TlsFiles | None = None,
    retried: Sequence[str] = (),
    *,
    proxied: bool = False,
) -> grpc.aio.Channel:
    """A channel to `target`: xds:///NAME inside the mesh, or any gRPC target such as dns:///host:port or unix:/path.

    Retried is what the protos of `services` allow, and the methods at the paths `retried`. A Unix socket is called
    without TLS: who may open it is who may call. No proxy of the environment is on the way, unless it may be `proxied`.

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
    if not proxied:
        options.append(proxies.NO_PROXY)
    if not target.startswith("xds:"):
        options.append(("grpc.service_config", service_config([*retryable_paths(services or []), *retried])))
    credentials = tls.client() if tls and not is_unix(target) else None
    if target.startswith("xds:"):
        plain = experimental.insecure_channel_credentials()  # type: ignore[no-untyped-call]
        credentials = grpc.xds_channel_credentials(credentials or plain)
    if credentials is None:
        return grpc.aio.insecure_channel(target, options=options)
    return grpc.aio.secure_channel(target, credentials, options=options)
