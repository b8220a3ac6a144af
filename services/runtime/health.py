"""Readiness: the standard health service, fed by checks of what a service needs.

Each dependency is a name of its own in grpc.health.v1 ("dependency/triton"), so that an operator sees why a service
is not ready; the whole server ("") and the service's own name are SERVING only while all dependencies are well but the
optional ones, without which it does less.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health  # type: ignore[attr-defined]  # missing in its stubs

log = logging.getLogger(__name__)

Check = Callable[[], Awaitable[bool]]
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
DEPENDENCY = "dependency/"
EVERY = 1.0
LIMIT = 2.0


class Readiness:
    """Watches `checks` and `optional`, by dependency name, and sets the health of `names` by the former.

    A service that has been ready stays so through one failed round: a single late answer is not an outage.
    """

    def __init__(
        self, names: list[str], checks: Mapping[str, Check], optional: Mapping[str, Check] = MappingProxyType({})
    ) -> None:
        self.servicer = health.HealthServicer()
        self._names = ["", *names]
        self._needed = frozenset(checks)
        self._checks = {**optional, **checks}
        self._missed: dict[str, int] = dict.fromkeys(self._checks, 2)
        self._draining = False

    @property
    def ready(self) -> bool:
        """Whether all that the service needs is well, and it is not about to stop."""
        return not self._draining and all(self._missed[name] < 2 for name in self._needed)

    @property
    def dependencies(self) -> list[str]:
        """All that is checked, by name."""
        return sorted(self._checks)

    def needs(self, name: str) -> bool:
        """Whether the service is not ready without it."""
        return name in self._needed

    def is_well(self, name: str) -> bool:
        """What was last found of a dependency."""
        return self._missed[name] < 2

    def missing(self) -> list[str]:
        """The dependencies that are not well."""
        return [name for name in self.dependencies if not self.is_well(name)]

    async def watch(self) -> None:
        """Check for ever. The first round is awaited by nobody: a server answers NOT_SERVING until it has passed."""
        await self._publish()
        while not self._draining:
            await asyncio.gather(*(self._look(name, check) for name, check in self._checks.items()))
            await self._publish()
            await asyncio.sleep(EVERY)

    async def drain(self) -> None:
        """Answer NOT_SERVING from now on."""
        self._draining = True
        await self.servicer.enter_graceful_shutdown()

    async def _look(self, name: str, check: Check) -> None:
        try:
            async with asyncio.timeout(LIMIT):
                well = await check()
        except Exception as error:  # noqa: BLE001 (whatever a check meets, the dependency is not well)
            log.debug("check failed", extra={"dependency": name, "error": str(error)})
            well = False
        before = self._missed[name]
        self._missed[name] = 0 if well else before + 1
        if (before < 2) != (self._missed[name] < 2):
            log.warning("dependency %s", "is well" if well else "is gone", extra={"dependency": name})

    async def _publish(self) -> None:
        if self._draining:
            return
        for name, missed in self._missed.items():
            await self.servicer.set(f"{DEPENDENCY}{name}", SERVING if missed < 2 else NOT_SERVING)
        for name in self._names:
            await self.servicer.set(name, SERVING if self.ready else NOT_SERVING)


def serving(channel: grpc.aio.Channel, service: str) -> Check:
    """A check that another service says it is ready."""
    stub = health_pb2_grpc.HealthStub(channel)

    async def check() -> bool:
        response = await stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=LIMIT)
        return bool(response.status == SERVING)

    return check
