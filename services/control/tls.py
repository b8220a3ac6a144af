"""What xDS says of TLS, as plain data: names of certificates, and where their holder finds them.

Envoy finds its certificates by SDS files in one folder of its own, a gRPC client by its bootstrap. infra/envoy writes
both by the names here.
"""

from pathlib import Path
from typing import Any, TypeAlias

Data: TypeAlias = dict[str, Any]

URL = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3."
SOCKET = "envoy.transport_sockets.tls"
EDGE, MESH, CA = "edge", "mesh", "ca"
"""Envoy's secrets, each in a file NAME.json: what callers from outside are shown, what services are, whom to trust."""
PROVIDER = "mesh"
"""The certificates of a gRPC client, in its bootstrap."""
OLDEST = {"tls_minimum_protocol_version": "TLSv1_2"}


def secret_file(folder: Path, name: str) -> Path:
    return folder / f"{name}.json"


def downstream(folder: Path) -> Data:
    """The edge listener's transport socket: HTTP/2 and HTTP/1.1, whichever the caller would have."""
    common = {
        "tls_params": OLDEST,
        "alpn_protocols": ["h2", "http/1.1"],
        "tls_certificate_sds_secret_configs": [_secret(folder, EDGE)],
    }
    return _socket("DownstreamTlsContext", common_tls_context=common)


def envoy_upstream(folder: Path, service: str, protocol: str = "h2") -> Data:
    """Envoy's transport socket towards a service: mutual TLS with one whose certificate is for that service."""
    common = {
        "tls_params": OLDEST,
        # Envoy would know it for calls, but not for health checks, and gRPC's servers insist on it.
        "alpn_protocols": [protocol],
        "tls_certificate_sds_secret_configs": [_secret(folder, MESH)],
        "combined_validation_context": {
            "default_validation_context": {
                "match_typed_subject_alt_names": [{"san_type": "DNS", "matcher": {"exact": service}}]
            },
            "validation_context_sds_secret_config": _secret(folder, CA),
        },
    }
    return _socket("UpstreamTlsContext", sni=service, common_tls_context=common)


def grpc_upstream(service: str) -> Data:
    """The same for a service's own gRPC client."""
    provider = {"instance_name": PROVIDER}
    common = {
        "tls_certificate_provider_instance": provider,
        "validation_context": {
            "ca_certificate_provider_instance": provider,
            "match_subject_alt_names": [{"exact": service}],
        },
    }
    return _socket("UpstreamTlsContext", common_tls_context=common)


def _secret(folder: Path, name: str) -> Data:
    return {"name": name, "sds_config": {"path_config_source": {"path": str(secret_file(folder, name))}}}


def _socket(context: str, **fields: Any) -> Data:
    return {"name": SOCKET, "typed_config": {"@type": URL + context, **fields}}
