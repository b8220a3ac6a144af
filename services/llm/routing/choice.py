"""Which target of a route is asked: of those that can, the nearer order first, then the less loaded of two, or the one
that was sent the longest beginning of the prompt. Pure but for chance."""

import random
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from services.llm.catalogue.route import Balance
from services.llm.needs import Needs
from services.llm.route_report import TargetHealth
from services.llm.routing import metrics
from services.llm.routing.prefixes import NONE, Prefix, prefix_of
from services.llm.routing.target import Target

AHEAD, SHARE_AHEAD = 2, 0.25
"""How much busier than the least busy one a target may be that was sent the prompt's beginning: by so many calls, or
by this share."""
AHEAD_NEW = 1
"""The same for a prompt that none was sent: all that is won is that processes choose alike."""


@dataclass(frozen=True, slots=True)
class Weighed:
    """A target as a route has it. `model`: the route's name for it, where it is one of several replicas."""

    target: Target
    weight: int = 1
    order: int = 0
    model: str = ""

    def health(self) -> TargetHealth:
        breaker = self.target.breaker
        return TargetHealth(
            self.target.name,
            self.order,
            self.weight,
            breaker.state.value,
            round(breaker.left, 3),
            round(breaker.failing, 3),
            self.target.in_flight,
            round(self.target.slow_seconds or 0, 4),
        )


class Choice:
    """Chooses among the targets of one `route`."""

    def __init__(
        self,
        targets: Sequence[Weighed],
        chance: random.Random | None = None,
        balance: Balance = Balance.LOAD,
        route: str = "",
    ) -> None:
        self._targets = sorted(targets, key=lambda one: one.order)
        self._chance = chance or random.Random()  # noqa: S311 (spreads load)
        lengths = {one.target.entry.context_length for one in targets}
        self._lengths_differ = len(lengths) > 1
        self._by_prefix = balance is Balance.PREFIX and len(targets) > 1
        outcomes = ("shared", "busy", "new", "short") if self._by_prefix else ()
        self._chosen = {outcome: metrics.PREFIXES.labels(route, outcome) for outcome in outcomes}

    def of(self, needs: Needs, apart: Collection[Target] = (), longer_than: int = 0) -> Target | None:
        """A target whose breaker lets a call through, none of those `apart`; None where there is none. With
        `longer_than` its context has more tokens than that."""
        able = [one for one in self.able(needs, longer_than) if one.target not in apart and one.target.ready]
        prefix = prefix_of(needs.prompt()) if able and self._by_prefix else NONE
        for among in _ranks(able, needs.prefer):
            while among:
                one = self._best(among, prefix)
                if one.target.breaker.admits():
                    one.target.prefixes.add(prefix.blocks)
                    return one.target
                among.remove(one)
        return None

    def able(self, needs: Needs, longer_than: int = 0) -> list[Weighed]:
        """The targets that can do what is asked, whatever their breakers say; where its prompt fits into none, those
        with the longest context: they say by how much."""
        able = self._targets
        if needs.capabilities:
            able = [one for one in able if needs.capabilities <= one.target.entry.capabilities] or able
        if longer_than:
            return [one for one in able if _length(one) > longer_than]
        if self._lengths_differ:
            tokens = needs.tokens()
            longest = max(map(_length, able))
            able = [one for one in able if _length(one) >= tokens or _length(one) == longest]
        return able

    def _best(self, among: list[Weighed], prefix: Prefix) -> Weighed:
        if not self._by_prefix:
            return self._better(among)
        if not prefix.blocks:
            self._chosen["short"].inc()
            return self._better(among)
        if on_trial := [one for one in among if one.target.breaker.open]:
            return on_trial[0]  # it has forgotten all, and might never be asked again
        shared = {one.target.name: one.target.prefixes.shared(prefix.blocks) for one in among}
        most = max(shared.values())
        if most < prefix.least:
            self._chosen["new"].inc()
            return min(_free(among, AHEAD_NEW), key=lambda one: prefix.distance(one.target.name, one.weight))
        free = _free(among, AHEAD)
        longest = max(shared[one.target.name] for one in free)
        self._chosen["busy" if longest < most else "shared"].inc()
        return self._better([one for one in free if shared[one.target.name] == longest])

    def _better(self, among: list[Weighed]) -> Weighed:
        """The power of two choices: of two that are drawn by weight the one with the lower load."""
        if len(among) == 1:
            return among[0]
        weights = [one.weight for one in among]
        first, second = self._chance.choices(among, weights, k=2)
        if first is second:
            others = [one for one in among if one is not first]
            (second,) = self._chance.choices(others, [one.weight for one in others])
        return min(first, second, key=lambda one: one.target.load(one.weight))


def _ranks(able: list[Weighed], prefer: Sequence[str]) -> Iterator[list[Weighed]]:
    """Those that are asked first, then those after them: the preferred, then by their order."""
    for name in prefer:
        yield [one for one in able if (one.model or one.target.name) == name]
    for _, rank in groupby(able, key=lambda one: one.order):
        yield list(rank)


def _free(among: list[Weighed], ahead: int) -> list[Weighed]:
    """Those that are not much busier than the least busy one."""
    loads = [one.target.load(one.weight) for one in among]
    least = min(loads)
    bounds = (least + max(ahead / one.weight, least * SHARE_AHEAD) for one in among)
    return [one for one, load, bound in zip(among, loads, bounds, strict=True) if load <= bound]


def _length(one: Weighed) -> float:
    return one.target.entry.context_length or float("inf")
