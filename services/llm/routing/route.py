"""A route: asks targets one after the other until one answers. The one place where a model is asked again."""

import asyncio
import math
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Protocol, TypeVar

from prometheus_client import Counter

from services.llm.catalogue.entry import CatalogueEntry
from services.llm.catalogue.route import RouteSpec, TargetSpec
from services.llm.concurrency import ModelBusy, watch_waiting
from services.llm.difficulty.judge import DifficultyJudge
from services.llm.errors import UpstreamTimeout, UpstreamUnavailable
from services.llm.faults import REMEDIES, Fault, Remedy
from services.llm.needs import Needs
from services.llm.route_report import Attempt, Difficulty, RouteReport, TargetHealth
from services.llm.routing import metrics
from services.llm.routing.allowance import Allowance
from services.llm.routing.choice import Choice, Weighed
from services.llm.routing.judging import fault_of, may_repeat
from services.llm.routing.target import Target
from services.runtime.errors import FINAL, DomainError

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 2.0
"""Seconds before the same target is asked again; the pause doubles, and is spread by chance."""


RETRIES, RETRIES_A_SECOND = 100.0, 10.0
"""How many attempts may always be made again: those of all calls that a target had in hand when it died."""
HEDGES = 3.0


class Begun(Protocol):
    """An answer that has begun."""

    async def aclose(self) -> None: ...


Answer = TypeVar("Answer", bound=Begun)
Begin = Callable[[Target], Awaitable[Answer]]


class NoTarget(UpstreamUnavailable):
    """All targets of a route are left out."""

    reason = "NO_TARGET"

    def __init__(self, route: str, seconds: float) -> None:
        super().__init__(
            f"no target of the route {route!r} can be asked: all have failed lately; try again later", route=route
        )
        self.retry_after = max(seconds, 0.1)


OWN_ATTEMPTS = 3
"""How often a model is asked by its own name, where it may be asked again."""


class Route:
    """The targets of a name. `own`: it is a model that stands for itself, which is asked whatever its breaker says.
    `judge`: whether the small or the large one of two targets is asked first."""

    def __init__(
        self,
        spec: RouteSpec,
        entry: CatalogueEntry,
        targets: list[Weighed],
        own: bool = False,
        judge: DifficultyJudge | None = None,
    ) -> None:
        self.spec = spec
        self.entry = entry
        self.targets = targets
        self.on_retry: Callable[[], None] = lambda: None
        self._own = own
        self._choice = Choice(targets, balance=spec.balance, route=spec.name)
        self._judge = judge
        self._counters: dict[tuple[str, str], Counter] = {}
        self._by_name = {one.target.name: one.target for one in targets}
        self._retries = Allowance(spec.retry_share, RETRIES, RETRIES_A_SECOND)
        self._hedges = Allowance(spec.hedge.share if spec.hedge else 0.0, HEDGES)
        self._remedies = {**REMEDIES, **spec.faults}

    def health(self) -> list[TargetHealth]:
        """How the targets are, as this process finds them."""
        return [one.health() for one in self.targets]

    @contextmanager
    def answering(
        self, report: RouteReport, judge: Callable[[DomainError], Fault] = fault_of
    ) -> Iterator[CatalogueEntry]:
        """While an answer goes on that `begin` gave: its target is busy with it, and judged where it breaks off."""
        target = self._by_name[report.target]
        try:
            yield target.entry
        except DomainError as error:
            target.failed(judge(error), error.retry_after)
            raise
        finally:
            target.in_flight -= 1

    async def begin(
        self, begin: Begin[Answer], needs: Needs, left: Callable[[], float] = lambda: math.inf
    ) -> tuple[Answer, RouteReport]:
        """The first answer that begins well. `begin` asks a target once; what it returns has said something, and what
        it raises has left nothing behind. `left`: seconds that there are for all attempts together. What comes back is
        to be read within `answering`. Raises what the last target has raised, or NoTarget."""
        self._retries.call()
        self._hedges.call()
        difficulty: Difficulty | None = None
        if self._judge is not None:
            needs, difficulty = await self._judge.prefer(needs)
            metrics.JUDGED.labels(self.entry.name, needs.prefer[0], difficulty.why).inc()
        answer, report = await self._begun(begin, self._first(needs), needs, left, [], {})
        return answer, report if difficulty is None else replace(report, difficulty=difficulty)

    async def go_on(
        self,
        begin: Begin[Answer],
        broken: RouteReport,
        error: DomainError,
        needs: Needs,
        left: Callable[[], float],
        seconds: float,
    ) -> tuple[Answer, RouteReport]:
        """The rest of an answer that broke off with an `error` after so many `seconds`, by a target that can go on,
        which `begin` asks for it. Raises the error where there is none."""
        fault = fault_of(error)
        failed = [*broken.failed, Attempt(broken.target, fault, seconds)]
        tried = {one.target for one in failed}
        apart = {
            one.target: False for one in self.targets if one.target.name in tried or not one.target.entry.continues
        }
        remedy = self._remedies.get(fault, Remedy.NEVER)
        target = None if remedy is Remedy.NEVER or len(failed) >= self.spec.attempts else self._choice.of(needs, apart)
        if target is None or left() <= 0 or not self._may_retry():
            raise error
        self.on_retry()
        answer, report = await self._begun(begin, target, needs, left, failed, apart)
        return answer, replace(report, resumed=True, difficulty=broken.difficulty)

    async def _begun(
        self,
        begin: Begin[Answer],
        target: Target,
        needs: Needs,
        left: Callable[[], float],
        failed: list[Attempt],
        apart: dict[Target, bool],
    ) -> tuple[Answer, RouteReport]:
        """See `begin`. `apart`: who was asked, and whether it may be asked again."""
        pause = FIRST_PAUSE
        while True:
            started = time.monotonic()
            try:
                answer, answering, hedged = await self._asked(begin, target, needs, apart)
                return answer, RouteReport(self.entry.name, answering.name, tuple(failed), hedged)
            except DomainError as error:
                fault = fault_of(error)
                failed.append(Attempt(target.name, fault, time.monotonic() - started))
                following = self._following(target, fault, error, needs, apart, len(failed))
                if following is None:
                    self._tell(error, failed)
                    raise
                wait = 0.0
                if any(one.target == following.name for one in failed):
                    wait = max(pause * random.uniform(0.5, 1), error.retry_after or 0)  # noqa: S311 (spreads retries)
                    pause = min(pause * 2, LONGEST_PAUSE)
                if wait > LONGEST_PAUSE or wait >= left() or not self._may_retry():
                    self._tell(error, failed)
                    raise
                target = following
            self.on_retry()
            if wait:
                await asyncio.sleep(wait)

    def _first(self, needs: Needs) -> Target:
        """Raises NoTarget."""
        if self._own:
            return self.targets[0].target
        target = self._choice.of(needs)
        if target is None:
            raise NoTarget(self.entry.name, min(one.target.breaker.left for one in self._choice.able(needs)))
        return target

    def _following(
        self, target: Target, fault: Fault, error: DomainError, needs: Needs, apart: dict[Target, bool], tried: int
    ) -> Target | None:
        """Whom to ask after a fault of `target`; None where there is no use in it. `apart`: who was asked, and whether
        it may be asked again."""
        remedy = self._remedies[fault]
        if remedy is Remedy.NEVER or tried >= self.spec.attempts:
            return None
        repeats = may_repeat(error) and (error.retry_after or 0) <= LONGEST_PAUSE
        if fault is Fault.RATE_LIMIT and error.retry_after is None:
            repeats = False
        if remedy is Remedy.AGAIN and repeats and target not in apart:
            apart[target] = True
            return target
        apart[target] = repeats
        if remedy is Remedy.LARGER:
            length = target.entry.context_length or int(error.details.get("context_length", 0))
            return self._choice.of(needs, apart, longer_than=length) if length else None
        other = None if self._own else self._choice.of(needs, apart)
        if other is None and remedy in (Remedy.AGAIN, Remedy.NEXT):
            # All were asked: one that may be well by now once more, this one last.
            gone = {one for one, again in apart.items() if not again} | {target}
            other = None if self._own else self._choice.of(needs, gone)
            return other or (target if repeats else None)
        return other

    async def _asked(
        self, begin: Begin[Answer], target: Target, needs: Needs, apart: dict[Target, bool]
    ) -> tuple[Answer, Target, bool]:
        """The answer, whose it is, and whether another was asked as well."""
        hedge = self.spec.hedge
        slow = target.slow_seconds
        if hedge is None or slow is None or needs.whole:
            return await self._once(begin, target, self._silence(target, apart, needs), needs), target, False
        return await self._hedged(begin, target, max(slow, hedge.least_seconds), needs, apart)

    def _silence(self, target: Target, apart: dict[Target, bool], needs: Needs) -> float | None:
        """How long a target may take to begin; None where there is nobody else to ask."""
        others = not self._own and any(
            one.target is not target and one.target not in apart and one.target.ready for one in self.targets
        )
        if not others:
            return None
        return self.spec.whole_answer_seconds if needs.whole else self.spec.first_token_seconds

    async def _once(self, begin: Begin[Answer], target: Target, silence: float | None, needs: Needs) -> Answer:
        """One attempt, judged. The target stays busy with what begins."""
        started = time.monotonic()
        target.in_flight += 1
        outcome, waiting = "cancelled", watch_waiting()
        try:
            try:
                if silence is None:
                    answer = await begin(target)
                else:
                    async with asyncio.timeout(silence):
                        answer = await begin(target)
            except TimeoutError:
                if waiting.now:  # it has not been asked: that says nothing of its health
                    raise ModelBusy(target.name, target.in_flight, 1) from None
                what, limit = ("", "whole_answer") if needs.whole else ("begin to ", "first_token")
                raise UpstreamTimeout(
                    f"the target {target.name!r} did not {what}answer within {silence:g} seconds: the "
                    f"`{limit}_seconds` of the route {self.entry.name!r}",
                    **{FINAL: "true"},
                ) from None
        except DomainError as error:
            fault = fault_of(error)
            outcome = fault.value
            target.failed(fault, error.retry_after)
            raise
        else:
            outcome = "ok"
            target.begun(None if needs.whole else time.monotonic() - started)
            return answer
        finally:
            if outcome != "ok":
                target.in_flight -= 1
            if not self._own:
                self._count(target, outcome)

    def _count(self, target: Target, outcome: str) -> None:
        counter = self._counters.get((target.name, outcome))
        if counter is None:
            counter = metrics.ATTEMPTS.labels(self.entry.name, target.name, outcome)
            self._counters[target.name, outcome] = counter
        counter.inc()

    async def _hedged(
        self, begin: Begin[Answer], target: Target, after: float, needs: Needs, apart: dict[Target, bool]
    ) -> tuple[Answer, Target, bool]:
        """Ask a second target as well where the first one is slow; the first to answer is taken, the other left."""
        first = asyncio.create_task(self._once(begin, target, self._silence(target, apart, needs), needs))
        racing = {first: target}
        second: Target | None = None
        try:
            await asyncio.wait(racing, timeout=after)
            if not first.done() and (second := self._second(target, needs, apart)) is not None:
                racing[asyncio.create_task(self._once(begin, second, None, needs))] = second
            while racing:
                done, _ = await asyncio.wait(racing, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    answering = racing.pop(task)
                    if task.exception() is not None:
                        apart[answering] = False
                        continue
                    if second is not None:
                        metrics.HEDGES.labels(self.entry.name, "faster" if answering is second else "slower").inc()
                    return task.result(), answering, second is not None
            return await first, target, second is not None  # raises what the first has raised
        finally:
            await _leave(racing)

    def _second(self, target: Target, needs: Needs, apart: dict[Target, bool]) -> Target | None:
        """Whom to ask as well."""
        second = self._choice.of(needs, {*apart, target})
        return second if second is not None and self._hedges.take() else None

    def _may_retry(self) -> bool:
        if self._retries.take():
            return True
        metrics.UNRETRIED.labels(self.entry.name).inc()
        return False

    def _tell(self, error: DomainError, failed: list[Attempt]) -> None:
        """Say in the error which attempts came to nothing."""
        if not self._own:
            error.details["route"] = self.entry.name
            error.details["attempts"] = ",".join(f"{one.target}:{one.fault}" for one in failed)


def own_route(target: Target) -> Route:
    """Of a model that is asked by its own name."""
    spec = RouteSpec(target.name, (TargetSpec(target.name),), attempts=OWN_ATTEMPTS, retry_share=1)
    return Route(spec, target.entry, [Weighed(target)], own=True)


async def _leave(racing: "dict[asyncio.Task[Answer], Target]") -> None:
    """End the attempts that are not taken, and close what has begun all the same."""
    for task in racing:
        task.cancel()
    for task, target in racing.items():
        with suppress(asyncio.CancelledError, DomainError):
            answer = await task
            await answer.aclose()
            target.in_flight -= 1
