"""The HTTP server, wired from the settings."""

from collections.abc import Collection, Sequence

from gateway.access.authorizer import Authorizer
from gateway.faces.http.app import HttpFace
from gateway.faces.http.errors import status_of
from gateway.faces.http.routes import Route, Routes
from gateway.faces.http.server import HttpServer
from gateway.settings import GatewaySettings
from services.runtime.interceptors import CallLayer, Chain
from services.runtime.interceptors.standard import AccessLog, Errors, Metrics, Trace


def http_server(
    settings: GatewaySettings,
    routes: Sequence[Route],
    layers: Sequence[CallLayer],
    access: Authorizer,
    callers: Collection[str],
    vital: Collection[str],
) -> HttpServer:
    """The server of `routes`, each call within `layers` and admitted by `access`; the mesh is not ready without what is
    `vital`. Raises LookupError for a route that has no entry in the permission table."""
    access.check(route.name for route in routes)
    outer = Chain([Trace(status_of), AccessLog(), Metrics(), Errors()])
    face = HttpFace(
        Routes(routes), Chain(layers, access), outer,
        most_bytes=settings.max_body_bytes, most_calls=settings.max_concurrent_rpcs, callers=callers,
        heartbeat_seconds=settings.heartbeat_seconds, vital=vital,
    )  # fmt: skip
    return HttpServer(
        face, socket_path=settings.http_socket, host=settings.host, port=settings.http_port, tls=settings.tls
    )
