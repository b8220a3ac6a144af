"""Wires control."""

import logging

import grpc
from envoy.service.discovery.v3 import ads_pb2, ads_pb2_grpc
from headworks.control.v1 import control_service_pb2, control_service_pb2_grpc

from services.control.ads_servicer import AdsServicer
from services.control.plane import Build, ControlPlane, builder
from services.control.servicer import ControlServicer
from services.control.settings import ControlSettings
from services.control.snapshot import Cache
from services.runtime.server import App

CONTROL = control_service_pb2.DESCRIPTOR.services_by_name["ControlService"].full_name
ADS = ads_pb2.DESCRIPTOR.services_by_name["AggregatedDiscoveryService"].full_name

log = logging.getLogger(__name__)

CALLERS = {f"/{CONTROL}/": ("operator",), f"/{ADS}/": ("envoy", "gateway", "orchestrator", "retrieval")}
"""Who says where the replicas are decides where every call goes, with the caller's key."""


async def wire(settings: ControlSettings, build: Build | None = None) -> App:
    """control, as its settings say; `build` makes other resources than the usual ones."""
    if settings.socket is None and settings.tls is None:
        log.warning("control obeys whoever reaches its port: give it certificates or a Unix socket")
    cache = Cache()
    plane = ControlPlane(build or builder(settings.edge()), cache, settings.state_file)

    def add(server: grpc.aio.Server) -> None:
        control_service_pb2_grpc.add_ControlServiceServicer_to_server(ControlServicer(plane), server)
        ads_pb2_grpc.add_AggregatedDiscoveryServiceServicer_to_server(AdsServicer(cache), server)

    data = {"topology": settings.state_file.parent} if settings.state_file else {}
    return App(add=add, names=[CONTROL, ADS], callers=CALLERS, data=data)
