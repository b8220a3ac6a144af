"""What an xDS client must know before it knows anything: where control is, and who it is itself.

The rest of its configuration comes from there.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.control.tls import PROVIDER, envoy_upstream
from services.runtime import sockets
from services.runtime.tls import TlsFiles

Data = dict[str, Any]
Address = tuple[str, int] | Path
"""A host with a port, or a Unix socket, which speaks without TLS."""
CONTROL = "control"
ADMIN = "admin"
METRICS = "/stats/prometheus"
SOCKET_MODE = 0o600
XDS = "xds_control"
BACK_OFF: Data = {"base_interval": "0.2s", "max_interval": "1s"}
"""Between attempts to reach a control that is gone."""
REFRESH = "5s"
"""How often gRPC looks at the certificate files."""


@dataclass(frozen=True, slots=True)
class EnvoyBootstrap:
    """Where control is, where Envoy's admin interface listens, what the node is called, and the process's own limits.

    The admin interface can stop the process and shows all: give it a Unix socket, or a pod's own network. At `metrics`
    anyone may read the metrics, and nothing else of it. `heap_bytes` 0 sets no limit on memory. With `secrets`, a
    folder of SDS files, Envoy calls a control at a port by mutual TLS.
    """

    control: Address
    admin: Address
    metrics: tuple[str, int] | None = None
    node_id: str = "envoy-0"
    max_connections: int = 20_000
    heap_bytes: int = 1 << 30
    secrets: Path | None = None


def envoy_bootstrap(settings: EnvoyBootstrap) -> Data:
    """Envoy's static bootstrap: listeners, routes, clusters and endpoints all come from control."""
    return {
        "node": {"id": settings.node_id, "cluster": "edge"},
        "admin": {"address": _address(settings.admin)},
        "dynamic_resources": {
            "ads_config": {
                "api_type": "GRPC",
                "transport_api_version": "V3",
                "grpc_services": [{"envoy_grpc": {"cluster_name": XDS, "retry_policy": {"retry_back_off": BACK_OFF}}}],
            },
            "lds_config": {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"},
            "cds_config": {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"},
        },
        "static_resources": {
            "clusters": [_control_cluster(settings), *([_cluster(ADMIN, settings.admin)] if settings.metrics else [])],
            "listeners": [_metrics_listener(settings.metrics)] if settings.metrics else [],
        },
        "overload_manager": _overload(settings),
        "stats_config": {"stats_tags": [], "use_all_default_tags": True},
    }


def grpc_bootstrap(control: Address, node_id: str, tls: TlsFiles | None = None) -> Data:
    """What the file in GRPC_XDS_BOOTSTRAP holds for a service's own gRPC clients.

    With `tls` they call control, unless it is a Unix socket, by mutual TLS, and every service of which control says so;
    gRPC reads the files again by itself.
    """
    files = {
        "certificate_file": str(tls.certificate),
        "private_key_file": str(tls.private_key),
        "ca_certificate_file": str(tls.ca),
        "refresh_interval": REFRESH,
    } if tls else {}  # fmt: skip
    providers = {PROVIDER: {"plugin_name": "file_watcher", "config": files}}
    return {
        "xds_servers": [
            {
                "server_uri": _uri(control),
                "channel_creds": [
                    {"type": "insecure"} if isinstance(control, Path) or not tls else {"type": "tls", "config": files}
                ],
                "server_features": ["xds_v3"],
            }
        ],
        "node": {"id": node_id, "cluster": "mesh"},
        **({"certificate_providers": providers} if tls else {}),
    }


def write_json(path: Path, data: Data) -> Path:
    """Write a bootstrap, its folder too if need be. Returns the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data, indent=2) + "\n", "utf-8")
    return path


def _control_cluster(settings: EnvoyBootstrap) -> Data:
    http2 = {"connection_keepalive": {"interval": "20s", "timeout": "5s"}}
    tls = settings.secrets is not None and not isinstance(settings.control, Path)
    return {
        **_cluster(XDS, settings.control),
        **({"transport_socket": envoy_upstream(settings.secrets, CONTROL)} if settings.secrets and tls else {}),
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {"http2_protocol_options": http2},
            }
        },
    }


def _cluster(name: str, address: Address) -> Data:
    endpoint = {"endpoint": {"address": _address(address)}}
    return {
        "name": name,
        "type": "STATIC" if isinstance(address, Path) else "STRICT_DNS",
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
    }


def _metrics_listener(address: tuple[str, int]) -> Data:
    """The one path of the admin interface that is no secret, for Prometheus."""
    matching = {"path": METRICS, "headers": [{"name": ":method", "string_match": {"exact": "GET"}}]}
    route = {"match": matching, "route": {"cluster": ADMIN}}
    manager = {
        "@type": "type.googleapis.com/"
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "metrics",
        "route_config": {"virtual_hosts": [{"name": "metrics", "domains": ["*"], "routes": [route]}]},
        "http_filters": [
            {
                "name": "router",
                "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
            }
        ],
    }
    return {
        "name": "metrics",
        "address": _address(address),
        "ignore_global_conn_limit": True,
        "filter_chains": [{"filters": [{"name": "http_connection_manager", "typed_config": manager}]}],
    }


def _overload(settings: EnvoyBootstrap) -> Data:
    """More connections than this are refused; short of memory Envoy keeps no connections, then takes no requests."""
    connections = {
        "name": "envoy.resource_monitors.global_downstream_max_connections",
        "typed_config": {
            "@type": "type.googleapis.com/"
            "envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
            "max_active_downstream_connections": settings.max_connections,
        },
    }
    if not settings.heap_bytes:
        return {"resource_monitors": [connections]}
    heap = {
        "name": "envoy.resource_monitors.fixed_heap",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.resource_monitors.fixed_heap.v3.FixedHeapConfig",
            "max_heap_size_bytes": settings.heap_bytes,
        },
    }
    return {
        "refresh_interval": "0.25s",
        "resource_monitors": [connections, heap],
        "actions": [
            _action("envoy.overload_actions.disable_http_keepalive", 0.9),
            _action("envoy.overload_actions.stop_accepting_requests", 0.95),
        ],
    }


def _action(name: str, share: float) -> Data:
    trigger = {"name": "envoy.resource_monitors.fixed_heap", "threshold": {"value": share}}
    return {"name": name, "triggers": [trigger]}


def _address(address: Address) -> Data:
    if isinstance(address, Path):
        return {"pipe": {"path": str(address), "mode": SOCKET_MODE}}
    return {"socket_address": {"address": address[0], "port_value": address[1]}}


def _uri(address: Address) -> str:
    if isinstance(address, Path):
        return sockets.target(address)
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
