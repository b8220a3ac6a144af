"""A measurement on the screen and as JSON."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.kit.figures import Goal, Summary, ratio
from bench.kit.harness import OTHERS, Case, Results, Side, number
from bench.kit.machine import machine


@dataclass(frozen=True, slots=True)
class Extra:
    """A further table: a row of figures by name."""

    title: str
    columns: Sequence[str]
    rows: Sequence[tuple[str, Sequence[float]]]


@dataclass(frozen=True, slots=True)
class Report:
    """All that a benchmark found. `notes` say what the figures mean."""

    title: str
    cases: Sequence[Case]
    results: Results
    goals: Sequence[Goal]
    rounds: int
    extras: Sequence[Extra] = ()
    notes: Sequence[str] = ()
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def missed(self) -> bool:
        return any(not goal.met for goal in self.goals)

    def show(self, console: Console) -> None:
        """Print everything."""
        if self.cases:
            console.print(_figures(self))
        for extra in self.extras:
            console.print(_extra(extra))
        if self.goals:
            console.print(_goals(self.goals))
        for note in self.notes:
            console.print(note, markup=False, emoji=False, highlight=False)

    def to_json(self) -> dict[str, Any]:
        """The same for programs, with the machine and the versions."""
        return {
            "title": self.title,
            "machine": machine(),
            **self.facts,
            "rounds": self.rounds,
            "results": {case.name: _case_json(case, self.results) for case in self.cases},
            "tables": [asdict(extra) for extra in self.extras],
            "goals": [{**asdict(goal), "bound": goal.bound.value, "met": goal.met} for goal in self.goals],
            "notes": list(self.notes),
        }

    def write(self, path: Path) -> None:
        """Write the JSON to a file."""
        path.write_text(json.dumps(self.to_json(), indent=1, ensure_ascii=False) + "\n", "utf-8")


def _names(sides: Sequence[Side], results: Results, case: str) -> list[str]:
    return list(dict.fromkeys(name for side in sides for name in results[case][side.name]))


def _case_json(case: Case, results: Results) -> dict[str, Any]:
    first = case.sides[0].name
    own = results[case.name]
    ratios = {
        side.name: {
            name: ratio(own[first][name].median, summary.median)
            for name, summary in own[side.name].items()
            if name in own[first] and name != OTHERS
        }
        for side in case.sides
        if side.peer
    }
    sides = {side.name: {name: asdict(summary) for name, summary in own[side.name].items()} for side in case.sides}
    return {"sides": sides, "ratios_to": ratios}


def _figures(report: Report) -> Table:
    """A row per case and figure, a column per side, and how the first side stands to each peer."""
    sides = list({side.name: side for case in report.cases for side in case.sides}.values())
    first, peers = sides[0].name, [side.name for side in sides if side.peer]
    table = Table(title=_title(report), title_justify="left")
    for heading in ("case", "figure"):
        table.add_column(heading)
    for heading in (*(side.name for side in sides), *(f"{first} ÷ {peer}" for peer in peers)):
        table.add_column(heading, justify="right")
    for case in report.cases:
        own = report.results[case.name]
        names = _names(case.sides, report.results, case.name)
        for place, name in enumerate(names):
            found = {side.name: own.get(side.name, {}).get(name) for side in sides}
            ratios = ["" if name == OTHERS else _ratio(found[first], found[peer]) for peer in peers]
            cells = ("" if place else case.name, name, *map(_cell, found.values()), *ratios)
            table.add_row(*cells, end_section=name == names[-1])
    return table


def _title(report: Report) -> str:
    return report.title if report.rounds == 1 else f"{report.title}: median (min–max) of {report.rounds} rounds"


def _cell(summary: Summary | None) -> str:
    if summary is None:
        return ""
    if len(summary.values) == 1:
        return number(summary.median)
    return f"{number(summary.median)} ({number(summary.minimum)}–{number(summary.maximum)})"


def _ratio(first: Summary | None, second: Summary | None) -> str:
    return f"{ratio(first.median, second.median):.2f}" if first and second else ""


def _extra(extra: Extra) -> Table:
    table = Table(title=extra.title, title_justify="left")
    for place, column in enumerate(extra.columns):
        table.add_column(column, justify="right" if place else "left")
    for name, values in extra.rows:
        table.add_row(name, *map(number, values))
    return table


def _goals(goals: Sequence[Goal]) -> Table:
    table = Table(title="goals", title_justify="left")
    for column in ("goal", "measured", "limit", ""):
        table.add_column(column, justify="left" if column in ("goal", "") else "right")
    for goal in goals:
        verdict = "[green]met[/]" if goal.met else "[red]MISSED[/]"
        table.add_row(goal.name, number(goal.measured), f"{goal.bound.value} {number(goal.limit)}", verdict)
    return table
