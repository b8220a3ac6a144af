"""When to come back: in gRPC's details, and as the header that HTTP has for it."""

from typing import Any

import grpc
import pytest

from services.runtime import statuses
from services.runtime.errors import Kind, UpstreamError
from tests.fakes.orchestrator import FakeOrchestrator
from tests.integration.gateway.conftest import MakeGateway

pytestmark = pytest.mark.integration


@pytest.mark.parametrize(("seconds", "header"), [(2.2, "3"), (0.0, "1"), (None, None)])
async def test_a_busy_model(make_gateway: MakeGateway, seconds: float | None, header: str | None) -> None:
    error = UpstreamError(Kind.RESOURCE_EXHAUSTED, "MODEL_BUSY", "busy", model="small").retry_in(seconds)
    gateway = await make_gateway(FakeOrchestrator(error=error))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async for _ in gateway.chat():
            pass
    trailing: dict[str, Any] = dict(caught.value.trailing_metadata() or ())  # type: ignore[arg-type]  # pairs
    assert trailing.get("retry-after") == header
    told = statuses.from_rpc_error(caught.value)
    assert (told.reason, told.retry_after) == ("MODEL_BUSY", seconds)
