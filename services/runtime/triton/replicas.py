"""The replicas of a Triton: each call goes to the next one, and at once to another where that one is sick."""

import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import grpc

from services.runtime import clients
from services.runtime.breaker import Breaker
from services.runtime.channels import open_channel
from services.runtime.contract import TRITON_RETRYABLE
from services.runtime.sockets import each
from services.runtime.tls import TlsFiles
from services.runtime.triton.wire import pb_grpc

SICK = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INTERNAL)
"""What a Triton answers that is gone, and one whose model's process has died under it."""


async def open_channels(target: str, tls: TlsFiles | None, resources: AsyncExitStack) -> list[grpc.aio.Channel]:
    """A channel to each address that the target names, closed with `resources`. What is behind a name or xds:/// is
    one, whose calls gRPC repeats; with several that is left to Replicas."""
    targets = each(target)
    retried = TRITON_RETRYABLE if len(targets) == 1 else ()
    return [await resources.enter_async_context(open_channel(one, tls=tls, retried=retried)) for one in targets]


@dataclass(slots=True)
class Replica:
    """One of them, and whether it rests."""

    stub: Any
    breaker: Breaker = field(default_factory=Breaker)


class Replicas:
    """Inference, which may be asked of any replica, and again. One that was sick rests for some seconds; while all do,
    they are asked all the same."""

    def __init__(self, channels: Sequence[grpc.aio.Channel]) -> None:
        self._replicas = [Replica(pb_grpc.GRPCInferenceServiceStub(channel)) for channel in channels]
        self._last = 0

    @property
    def stubs(self) -> list[Any]:
        return [replica.stub for replica in self._replicas]

    async def infer(self, request: Any, timeout: float, metadata: tuple[tuple[str, str], ...]) -> Any:
        """The response of the first that is well. Raises grpc.aio.AioRpcError, that of the last one asked."""
        end = time.monotonic() + timeout
        failure: grpc.aio.AioRpcError | None = None
        for replica in self._order():
            tried = replica.breaker.open
            left = timeout if failure is None else end - time.monotonic()
            if failure is not None and left <= 0:
                break
            try:
                response = await clients.unary(replica.stub.ModelInfer(request, timeout=left, metadata=metadata))
            except grpc.aio.AioRpcError as error:
                if error.code() not in SICK:
                    raise
                # Those that were under way when it fell sick fail together, and count once.
                if tried or not replica.breaker.open:
                    replica.breaker.failed()
                failure = error
                continue
            replica.breaker.succeeded()
            return response
        if failure is None:
            raise ValueError("there is no replica")
        raise failure

    def _order(self) -> Iterator[Replica]:
        """In turn; those that rest come last."""
        self._last = (self._last + 1) % len(self._replicas)
        resting = []
        for replica in (*self._replicas[self._last :], *self._replicas[: self._last]):
            if replica.breaker.admits():
                yield replica
            else:
                resting.append(replica)
        yield from resting
