"""The list of models: passed on like others, with what this gateway knows of the routes that it asks itself."""

from dataclasses import asdict

import grpc
from headworks.orchestrator.v1 import orchestrator_service_pb2 as pb

from gateway.calls.bare import BareCalls
from services.runtime.contract import path
from services.runtime.interceptors.handlers import Handler, behaviour
from services.runtime.interceptors.pipeline import Context

LIST = path(pb.DESCRIPTOR.services_by_name["OrchestratorService"].methods_by_name["ListModels"])


def with_health(bare: BareCalls, routes: dict[str, Handler]) -> dict[str, Handler]:
    """The handler of the list."""
    forward = behaviour(routes[LIST])

    async def listed(request: bytes, context: Context) -> pb.ListModelsResponse:
        response = pb.ListModelsResponse.FromString(await forward(request, context))
        for model in response.models:
            if health := bare.health(model.id):
                del model.targets[:]
                model.targets.extend(pb.ModelTarget(**asdict(one)) for one in health)
        return response

    serializer = pb.ListModelsResponse.SerializeToString
    return {LIST: grpc.unary_unary_rpc_method_handler(listed, response_serializer=serializer)}
