"""From plain data, written as in Envoy's own documents, to checked xDS resources."""

import hashlib
import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeAlias

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_pb2
from envoy.extensions.transport_sockets.tls.v3 import tls_pb2  # noqa: F401 (json_format finds its messages by name)
from google.protobuf import any_pb2, json_format

Data: TypeAlias = dict[str, Any]

PREFIX = "type.googleapis.com/"
CDS = PREFIX + "envoy.config.cluster.v3.Cluster"
EDS = PREFIX + "envoy.config.endpoint.v3.ClusterLoadAssignment"
LDS = PREFIX + "envoy.config.listener.v3.Listener"
RDS = PREFIX + "envoy.config.route.v3.RouteConfiguration"
TYPES = (CDS, EDS, LDS, RDS)
"""Make before break: clusters and their endpoints go out before the listeners and routes that lead to them."""

ADS: Data = {"ads": {}, "resource_api_version": "V3"}

_MESSAGES: dict[str, Any] = {
    CDS: cluster_pb2.Cluster,
    EDS: endpoint_pb2.ClusterLoadAssignment,
    LDS: listener_pb2.Listener,
    RDS: route_pb2.RouteConfiguration,
}


@dataclass(frozen=True, slots=True)
class Resource:
    """One named xDS resource. `version` follows from its content: the same content has the same version for ever.

    `refers` are the (type, name) of the resources that it needs.
    """

    type: str
    name: str
    version: str
    body: any_pb2.Any
    refers: frozenset[tuple[str, str]]


def resource(type_url: str, data: Data) -> Resource:
    """The resource that `data` describes. ValueError where its message has no such field or value."""
    try:
        message = json_format.ParseDict(data, _MESSAGES[type_url]())
    except json_format.ParseError as error:
        raise ValueError(f"{type_url.rpartition('.')[2]} {data.get('name')!r}: {error}") from error
    body = any_pb2.Any(type_url=type_url, value=message.SerializeToString(deterministic=True))
    name = data["cluster_name"] if type_url == EDS else data["name"]
    return Resource(type_url, name, digest(data), body, frozenset(_references(type_url, data)))


def digest(value: object) -> str:
    """A short hash of plain data, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def typed(message: Any, **fields: Any) -> Data:
    """An Any that holds `message`, a protobuf class, with these fields."""
    return {"@type": PREFIX + message.DESCRIPTOR.full_name, **fields}


def seconds(value: float) -> str:
    """A protobuf Duration in JSON."""
    return f"{timedelta(seconds=value).total_seconds():.9f}s"


def _references(type_url: str, data: object) -> set[tuple[str, str]]:
    """What plain data refers to: a listener its routes, routes their clusters, a cluster its endpoints."""
    found: set[tuple[str, str]] = set()
    if isinstance(data, list):
        for item in data:
            found |= _references(type_url, item)
    elif isinstance(data, dict):
        for key, value in data.items():
            if type_url == LDS and key == "rds":
                found.add((RDS, value["route_config_name"]))
            elif type_url == RDS and key == "cluster" and isinstance(value, str):
                found.add((CDS, value))
            else:
                found |= _references(type_url, value)
        if type_url == CDS and data.get("type") == "EDS":
            found.add((EDS, data.get("eds_cluster_config", {}).get("service_name") or data["name"]))
    return found
