"""One harness for every benchmark: sides run in turn, A B A B, for several rounds."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from bench.kit.figures import Summary

# A figure's name, with its unit, to its value.
Figures: TypeAlias = Mapping[str, float]
# By case, side and figure.
Results: TypeAlias = Mapping[str, Mapping[str, Mapping[str, Summary]]]

# What everything but the measured side used of the machine meanwhile: no merit of a side.
OTHERS = "cores of others"


@dataclass(frozen=True, slots=True)
class Side:
    """One of the things compared. `run` measures one round; a `peer` is what the first side is compared with."""

    name: str
    run: Callable[[], Figures]
    peer: bool = False


@dataclass(frozen=True, slots=True)
class Case:
    """What the sides are given to do."""

    name: str
    sides: Sequence[Side]


def alternate(cases: Sequence[Case], rounds: int, say: Callable[[str], None]) -> Results:
    """Every side of every case, once a round, side by side; each is reported to `say` as it is done."""
    steps = [(case, side) for _ in range(rounds) for case in cases for side in case.sides]
    taken: dict[str, dict[str, dict[str, list[float]]]] = {}
    for number, (case, side) in enumerate(steps, start=1):
        figures = side.run()
        say(f"[{number}/{len(steps)}] {case.name}, {side.name}: {brief(figures)}")
        own = taken.setdefault(case.name, {}).setdefault(side.name, {})
        for name, value in figures.items():
            own.setdefault(name, []).append(value)
    return {
        case: {side: {name: Summary.of(values) for name, values in own.items()} for side, own in sides.items()}
        for case, sides in taken.items()
    }


def brief(figures: Figures) -> str:
    """All figures on a line."""
    return ", ".join(f"{name} {number(value)}" for name, value in figures.items())


def number(value: float) -> str:
    """Three significant digits at least, and never an exponent."""
    size = abs(value)
    if size >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if size >= 10 else f"{value:.3f}" if size < 1 else f"{value:.2f}"
