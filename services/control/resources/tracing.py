"""Envoy's span of each request, the parent of the gateway's, and the collector that it goes to."""

from urllib.parse import urlsplit

from envoy.config.trace.v3 import opentelemetry_pb2
from envoy.extensions.tracers.opentelemetry.resource_detectors.v3 import static_config_resource_detector_pb2
from envoy.extensions.transport_sockets.tls.v3 import tls_pb2
from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2

from services.control.edge import Collector, Edge
from services.control.resources.access_log import agent, path
from services.control.resources.wire import CDS, Data, Resource, resource, typed

CLUSTER = "otlp"
TRACER = "envoy.tracers.opentelemetry"
STATIC = "envoy.tracers.opentelemetry.resource_detectors.static_config"
TIMEOUT = "5s"
# In place of what Envoy would say by itself: what its access log says.
TAGS = {"http.url": path(), "user_agent": agent()}


def tracing(edge: Edge) -> Data:
    """The listener's part: nothing without a collector."""
    collector = edge.collector
    if collector is None:
        return {}
    detector = typed(static_config_resource_detector_pb2.StaticConfigResourceDetectorConfig, attributes=_resource(edge))
    config = typed(
        opentelemetry_pb2.OpenTelemetryConfig,
        service_name="headworks-envoy",
        resource_detectors=[{"name": STATIC, "typed_config": detector}],
        **_service(collector),
    )
    return {
        "tracing": {
            "random_sampling": {"value": 100 * collector.ratio},
            "operation": f"%REQ(:METHOD):16% {path()}",
            "provider": {"name": TRACER, "typed_config": config},
            "custom_tags": [{"tag": tag, "value": value} for tag, value in TAGS.items()],
        }
    }


def collector_cluster(edge: Edge) -> list[Resource]:
    """Where the spans go."""
    if edge.collector is None:
        return []
    url = urlsplit(edge.collector.url)
    port = url.port or (443 if url.scheme == "https" else 80)
    address = {"socket_address": {"address": url.hostname, "port_value": port}}
    protocol = "http_protocol_options" if edge.collector.http else "http2_protocol_options"
    options = typed(http_protocol_options_pb2.HttpProtocolOptions, explicit_http_config={protocol: {}})
    cluster: Data = {
        "name": CLUSTER,
        "type": "STRICT_DNS",
        "connect_timeout": "1s",
        "load_assignment": {
            "cluster_name": CLUSTER, "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}]
        },
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options},
    }  # fmt: skip
    if url.scheme == "https":
        trusted = {"trusted_ca": {"filename": edge.collector.ca}}
        tls = typed(tls_pb2.UpstreamTlsContext, sni=url.hostname, common_tls_context={"validation_context": trusted})
        cluster["transport_socket"] = {"name": "envoy.transport_sockets.tls", "typed_config": tls}
    return [resource(CDS, cluster)]


def _resource(edge: Edge) -> dict[str, str]:
    return {"service.namespace": "headworks", "service.instance.id": edge.envoy}


def _service(collector: Collector) -> Data:
    headers = [{"key": name, "value": value} for name, value in collector.headers.items()]
    if not collector.http:
        service = {"envoy_grpc": {"cluster_name": CLUSTER}, "timeout": TIMEOUT, "initial_metadata": headers}
        return {"grpc_service": service}
    added = [{"header": header} for header in headers]
    uri = {"uri": collector.url, "cluster": CLUSTER, "timeout": TIMEOUT}
    return {"http_service": {"http_uri": uri, "request_headers_to_add": added}}
