"""Checks of a service that has replicas: it is well while one of them is."""

import asyncio
from collections.abc import Awaitable, Callable

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.runtime import clients
from services.runtime.call import ORDINAL_KEY, ORDINALS

Check = Callable[[], Awaitable[bool]]
Metadata = tuple[tuple[str, str], ...]
Ask = Callable[[Metadata], Awaitable[bool]]
ATTEMPTS = 4
SILENT_SECONDS = 0.4
"""So long one replica is waited for before another is asked as well."""
STATUS = health_pb2.HealthCheckResponse


class AnyReplica:
    """A check that passes once one replica says that it is well. The one that said so last is asked first; where it
    says otherwise, or nothing, others are asked too, each by its number, so that none of them is the same again.

    `ask` sends its question with the metadata that it is given. Raises what the last of them raised, if none is well.
    """

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._first = 0

    async def __call__(self) -> bool:
        asked: dict[asyncio.Task[bool], int] = {}
        failed: BaseException | None = None
        try:
            for attempt in range(ATTEMPTS):
                number = (self._first + attempt) % ORDINALS
                asked[asyncio.create_task(self._one(number))] = number
                last = attempt == ATTEMPTS - 1
                while asked:
                    done, _ = await asyncio.wait(
                        asked, timeout=None if last else SILENT_SECONDS, return_when=asyncio.FIRST_COMPLETED
                    )
                    for task in done:
                        number = asked.pop(task)
                        failed = task.exception() or failed
                        if task.exception() is None and task.result():
                            self._first = number
                            return True
                    if not last:
                        break
        finally:
            for task in asked:
                task.cancel()
            await asyncio.gather(*asked, return_exceptions=True)
        self._first += ATTEMPTS
        if failed is not None:
            raise failed
        return False

    async def _one(self, number: int) -> bool:
        return await self._ask(((ORDINAL_KEY, str(number)),))


def serving(channel: grpc.aio.Channel, service: str, *besides: str) -> Check:
    """A check that a replica of another service says it is ready, and does not say that one of `besides` is not: names
    of its health service, of which an older version may know nothing."""
    stub = health_pb2_grpc.HealthStub(channel)

    async def status(name: str, metadata: Metadata) -> int:
        request = health_pb2.HealthCheckRequest(service=name)
        return int((await clients.unary(stub.Check(request, metadata=metadata))).status)

    async def ask(metadata: Metadata) -> bool:
        if await status(service, metadata) != STATUS.SERVING:
            return False
        for name in besides:
            try:
                if await status(name, metadata) == STATUS.NOT_SERVING:
                    return False
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.NOT_FOUND:
                    raise
        return True

    return AnyReplica(ask)
