"""Wires control."""

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


async def wire(settings: ControlSettings, build: Build | None = None) -> App:
    """control, as its settings say; `build` makes other resources than the usual ones."""
    cache = Cache()
    plane = ControlPlane(build or builder(settings.edge()), cache, settings.state_file)

    def add(server: grpc.aio.Server) -> None:
        control_service_pb2_grpc.add_ControlServiceServicer_to_server(ControlServicer(plane), server)
        ads_pb2_grpc.add_AggregatedDiscoveryServiceServicer_to_server(AdsServicer(cache), server)

    return App(add=add, names=[CONTROL, ADS])
