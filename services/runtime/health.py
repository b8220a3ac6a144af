"""Readiness: the standard health service, fed by checks of what a service needs.

Each dependency is a name of its own in grpc.health.v1 ("dependency/triton"), so that an operator sees why a service
is not ready; the whole server ("") and the service's own name are SERVING only while all dependencies are well but the
optional ones, without which it does less.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from grpc_health.v1 import health_pb2
from grpc_health.v1.health import aio as health  # type: ignore[attr-defined]  # missing in its stubs

from services.runtime.replicas import Check

log = logging.getLogger(__name__)

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
DEPENDENCY = "dependency/"
EVERY = 1.0
LIMIT = 2.0
PATIENCE = 4.0
"""Seconds after its last good answer for which a dependency that gives no other is still taken to be well."""
STOOD_STILL = 1.0
"""A step that is later than this was late because the process itself did not run, and says nothing of others."""


@dataclass(slots=True)
class _Standing:
    """What is known of a dependency: whether the last check failed, and until when that means nothing yet."""

    failing: bool = True
    well_until: float = float("-inf")


class Readiness:
    """Watches `checks` and `optional`, by dependency name, and sets the health of `names` by the former. `vital`: of
    the optional ones those without which callers cannot be served, though the process can.

    A dependency is gone once it has failed for PATIENCE seconds, and well again once a check succeeds. While one that
    is needed or vital is gone, another such that fails just now is gone too: what depends on something comes back a
    moment after it, and an outage has one end.
    """

    def __init__(
        self, names: list[str], checks: Mapping[str, Check], optional: Mapping[str, Check] = MappingProxyType({}),
        vital: Collection[str] = (), clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self.servicer = health.HealthServicer()
        self._names = ["", *names]
        self._needed = frozenset(checks)
        self._together = self._needed | frozenset(vital)
        self._checks = {**optional, **checks}
        self._clock = clock
        self._standings = {name: _Standing() for name in self._checks}
        self._outage = True
        self._told: set[str] = set()
        self._draining = False

    @property
    def ready(self) -> bool:
        """Whether all that the service needs is well, and it is not about to stop."""
        return not self._draining and all(self.is_well(name) for name in self._needed)

    @property
    def dependencies(self) -> list[str]:
        """All that is checked, by name."""
        return sorted(self._checks)

    def needs(self, name: str) -> bool:
        """Whether the service is not ready without it."""
        return name in self._needed

    def is_well(self, name: str) -> bool:
        """Whether a dependency answers, or has not failed for long enough to be gone."""
        if not self._standings[name].failing:
            return True
        return not self._is_late(name) and not (name in self._together and self._in_outage())

    def missing(self) -> list[str]:
        """The dependencies that are not well."""
        return [name for name in self.dependencies if not self.is_well(name)]

    async def watch(self) -> None:
        """Check for ever. The first round is awaited by nobody: a server answers NOT_SERVING until it has passed."""
        await self._publish()
        await asyncio.gather(*(self._follow(name) for name in self._checks))

    async def drain(self) -> None:
        """Answer NOT_SERVING from now on."""
        self._draining = True
        await self.servicer.enter_graceful_shutdown()

    async def look(self, name: str) -> None:
        """Check one dependency now."""
        due = self._clock() + LIMIT
        try:
            async with asyncio.timeout(LIMIT):
                well = await self._checks[name]()
        except Exception as error:  # noqa: BLE001 (whatever a check meets, the dependency is not well)
            log.debug("check failed", extra={"dependency": name, "error": str(error)})
            well = False
        self._forgive(name, due)
        self._in_outage()  # one that has begun is noticed before this result can hide it
        standing = self._standings[name]
        standing.failing = not well
        if well:
            standing.well_until = self._clock() + PATIENCE
        await self._publish()

    async def _follow(self, name: str) -> None:
        while not self._draining:
            await self.look(name)
            pause = _pause()
            due = self._clock() + pause
            await asyncio.sleep(pause)
            self._forgive(name, due)
            await self._publish()

    def _is_late(self, name: str) -> bool:
        standing = self._standings[name]
        return standing.failing and self._clock() >= standing.well_until

    def _in_outage(self) -> bool:
        """Whether something that is needed is gone, or one that was has left others failing."""
        if any(self._is_late(name) for name in self._together):
            self._outage = True
        elif not any(self._standings[name].failing for name in self._together):
            self._outage = False
        return self._outage

    def _forgive(self, name: str, due: float) -> None:
        """Count nothing against a dependency for time in which this process stood still."""
        late = self._clock() - due
        if late > STOOD_STILL:
            self._standings[name].well_until += late

    async def _publish(self) -> None:
        if self._draining:
            return
        missing = self.missing()
        for name in self._checks:
            self._tell(name, name not in missing)
            await self.servicer.set(f"{DEPENDENCY}{name}", NOT_SERVING if name in missing else SERVING)
        for name in self._names:
            await self.servicer.set(name, SERVING if self.ready else NOT_SERVING)

    def _tell(self, name: str, well: bool) -> None:
        """Log what has changed; that one is not there yet when the service starts is no news."""
        if well and name not in self._told:
            self._told.add(name)
            log.info("dependency is well", extra={"dependency": name})
        elif not well and name in self._told:
            self._told.discard(name)
            log.warning("dependency is gone", extra={"dependency": name})


def _pause() -> float:
    """Until the next round. Rounds begin on the whole second: replicas that watch the same thing find the same at the
    same time, and whoever asks one after the other gets one answer."""
    left = EVERY - time.time() % EVERY
    return left if left > EVERY / 10 else left + EVERY
