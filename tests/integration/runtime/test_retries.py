"""A channel retries what the protos allow, and nothing that has begun."""

from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from headworks.orchestrator.v1 import orchestrator_service_pb2 as pb
from headworks.orchestrator.v1 import orchestrator_service_pb2_grpc as pb_grpc

from services.orchestrator.app import NAME
from services.runtime.errors import DomainError, InvalidArgument, Unavailable
from services.runtime.interceptors import layers
from tests.fakes.serving import app_of, channel_for

Base: Any = pb_grpc.OrchestratorServiceServicer  # whose other methods nobody calls


class Flaky(Base):  # type: ignore[misc]
    """Fails the first `fails` calls, before or after a first event."""

    def __init__(self, fails: int, error: DomainError, *, begun: bool = False) -> None:
        self.calls = 0
        self._fails, self._error, self._begun = fails, error, begun

    def _maybe_fail(self) -> None:
        if self.calls <= self._fails:
            raise self._error

    async def GetRun(self, request: pb.GetRunRequest, context: Any) -> pb.GetRunResponse:  # noqa: N802 (as in the proto)
        self.calls += 1
        self._maybe_fail()
        return pb.GetRunResponse()

    async def Run(self, request: pb.RunRequest, context: Any) -> AsyncIterator[pb.RunResponse]:  # noqa: N802 (as in the proto)
        self.calls += 1
        self._maybe_fail()
        yield pb.RunResponse()

    async def Attach(self, request: pb.AttachRequest, context: Any) -> AsyncIterator[pb.AttachResponse]:  # noqa: N802 (as in the proto)
        self.calls += 1
        if self._begun:
            yield pb.AttachResponse()
        self._maybe_fail()
        yield pb.AttachResponse()


async def ask(servicer: Flaky, method: str) -> grpc.StatusCode:
    app = app_of(servicer, layers=layers(None, 10))
    async with channel_for(app, services=[NAME]) as channel:
        stub = pb_grpc.OrchestratorServiceStub(channel)
        try:
            if method == "GetRun":
                await stub.GetRun(pb.GetRunRequest())
            elif method == "Run":
                _ = [event async for event in stub.Run(pb.RunRequest())]
            else:
                _ = [event async for event in stub.Attach(pb.AttachRequest())]
        except grpc.aio.AioRpcError as error:
            return error.code()
    return grpc.StatusCode.OK


@pytest.mark.parametrize(
    ("method", "fails", "begun", "code", "calls"),
    [
        ("GetRun", 1, False, grpc.StatusCode.OK, 2),
        ("GetRun", 9, False, grpc.StatusCode.UNAVAILABLE, 4),
        ("Attach", 1, False, grpc.StatusCode.OK, 2),
        ("Attach", 1, True, grpc.StatusCode.UNAVAILABLE, 1),
        ("Run", 1, False, grpc.StatusCode.UNAVAILABLE, 1),
    ],
)
async def test_what_is_retried(method: str, fails: int, begun: bool, code: grpc.StatusCode, calls: int) -> None:
    servicer = Flaky(fails, Unavailable("gone"), begun=begun)
    assert (await ask(servicer, method), servicer.calls) == (code, calls)


async def test_other_errors_are_not_retried() -> None:
    servicer = Flaky(9, InvalidArgument("no"))
    assert (await ask(servicer, "GetRun"), servicer.calls) == (grpc.StatusCode.INVALID_ARGUMENT, 1)
