"""When to come back: in gRPC's details, and as the header that HTTP has for it."""

import grpc
import pytest
from headworks.orchestrator.v1 import orchestrator_service_pb2 as pb
from headworks.orchestrator.v1 import orchestrator_service_pb2_grpc as pb_grpc
from headworks.orchestrator.v1 import run_pb2

from services.runtime import statuses
from services.runtime.errors import ErrorKind, UpstreamError
from tests.fakes.http_calls import Refused
from tests.fakes.orchestrator import FakeOrchestrator
from tests.integration.gateway.conftest import BEARER, MakeGateway


@pytest.mark.parametrize(("seconds", "header"), [(2.2, "3"), (0.0, "1"), (None, None)])
async def test_a_busy_model(make_gateway: MakeGateway, seconds: float | None, header: str | None) -> None:
    error = UpstreamError(ErrorKind.RESOURCE_EXHAUSTED, "MODEL_BUSY", "busy", model="small").retry_in(seconds)
    gateway = await make_gateway(FakeOrchestrator(error=error))
    with pytest.raises(Refused) as refused:
        await gateway.chat().whole()
    assert refused.value.headers.get("retry-after") == header
    assert (refused.value.status, refused.value.error["code"]) == (429, "model_busy")
    request = pb.RunRequest(messages=[run_pb2.Message(role=run_pb2.Message.ROLE_USER, content="why?")])
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async for _ in pb_grpc.OrchestratorServiceStub(gateway.channel).Run(request, metadata=BEARER, timeout=20):
            pass
    told = statuses.from_rpc_error(caught.value)
    assert (told.reason, told.retry_after) == ("MODEL_BUSY", seconds)
