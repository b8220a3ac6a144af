"""Which target of a route is asked: of those that can, the nearer order first, then the less loaded of two. Pure but
for chance."""

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from services.llm.needs import Needs
from services.llm.route_report import TargetHealth
from services.llm.routing.target import Target


@dataclass(frozen=True, slots=True)
class Weighed:
    """A target as a route has it."""

    target: Target
    weight: int = 1
    order: int = 0

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
    """Chooses among the targets of one route."""

    def __init__(self, targets: Sequence[Weighed], chance: random.Random | None = None) -> None:
        self._targets = sorted(targets, key=lambda one: one.order)
        self._chance = chance or random.Random()  # noqa: S311 (spreads load)
        lengths = {one.target.entry.context_length for one in targets}
        self._lengths_differ = len(lengths) > 1

    def of(self, needs: Needs, apart: Collection[Target] = (), longer_than: int = 0) -> Target | None:
        """A target whose breaker lets a call through, none of those `apart`; None where there is none. With
        `longer_than` its context has more tokens than that."""
        able = [one for one in self.able(needs, longer_than) if one.target not in apart and one.target.ready]
        for name in needs.prefer:
            preferred = next((one.target for one in able if one.target.name == name), None)
            if preferred is not None and preferred.breaker.admits():
                return preferred
        while able:
            nearest = [one for one in able if one.order == able[0].order]
            one = nearest[0] if len(nearest) == 1 else self._better(nearest)
            if one.target.breaker.admits():
                return one.target
            able.remove(one)
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

    def _better(self, among: list[Weighed]) -> Weighed:
        """The power of two choices: of two that are drawn by weight the one with the lower load."""
        weights = [one.weight for one in among]
        first, second = self._chance.choices(among, weights, k=2)
        if first is second:
            others = [one for one in among if one is not first]
            (second,) = self._chance.choices(others, [one.weight for one in others])
        return min(first, second, key=lambda one: one.target.load(one.weight))


def _length(one: Weighed) -> float:
    return one.target.entry.context_length or float("inf")
