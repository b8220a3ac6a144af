"""What a piece of work costs each process of the mesh."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from bench.kit.report import Extra


@dataclass
class Costs:
    """Processor seconds by process over all rounds of a case, and for how many pieces of work."""

    seconds: dict[str, float] = field(default_factory=dict)
    pieces: int = 0

    def add(self, seconds: Mapping[str, float], pieces: int) -> None:
        for name, value in seconds.items():
            self.seconds[name] = self.seconds.get(name, 0.0) + value
        self.pieces += pieces

    def each(self) -> dict[str, float]:
        """Milliseconds a piece, by process."""
        return {name: value / self.pieces * 1000 for name, value in self.seconds.items()} if self.pieces else {}


def cost_table(title: str, by_case: Mapping[str, Costs]) -> Extra:
    """A row per process, the dearest first, and a column per case."""
    columns = [costs.each() for costs in by_case.values()]
    names = {name for column in columns for name in column}
    ordered = sorted(names, key=lambda name: -max(column.get(name, 0.0) for column in columns))
    rows = [(name, [column.get(name, 0.0) for column in columns]) for name in ordered]
    rows.append(("all", [sum(column.values()) for column in columns]))
    return Extra(title, ["process", *by_case], rows)
