"""The lines of a page, and the grids that they draw: cells between them, as certain as they are drawn."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

from services.retrieval.ingest.tables import MOST_COLUMNS

THICK = 3.0
"""Points: a line is no thicker, what lies nearer together is one line, and what ends nearer to a line touches it."""
MOST_ROWS = 300
MOST_RULES = 500
"""Lines of a page, level or upright ones, once the parts of each are put together."""
_SHORTEST = 4.0

Slots = list[list[int]]


class Rule(NamedTuple):
    """A line: where it lies across its direction, and from where to where it goes."""

    at: float
    start: float
    end: float


class Grid(NamedTuple):
    """Where the columns end, from the left, and the rows, from below; and the number of the cell in each slot, of the
    lowest row first. A cell may fill several slots; together they are a rectangle."""

    columns: list[float]
    rows: list[float]
    slots: Slots


class Rules:
    """The lines of one page."""

    def __init__(self) -> None:
        self._level: list[Rule] = []
        self._upright: list[Rule] = []

    def level(self, y: float, start: float, end: float) -> None:
        """A line from left to right."""
        self._level.append(Rule(y, min(start, end), max(start, end)))

    def upright(self, x: float, start: float, end: float) -> None:
        """A line from below to the top."""
        self._upright.append(Rule(x, min(start, end), max(start, end)))

    def grids(self) -> list[Grid]:
        """Those of two columns and two rows at least."""
        level, upright = _joined(self._level), _joined(self._upright)
        if len(level) > MOST_RULES or len(upright) > MOST_RULES:
            return []
        return [grid for lines in _touching(level, upright) if (grid := _grid(*lines))]


def _joined(rules: Iterable[Rule]) -> list[Rule]:
    """The lines that those parts make which lie in one line, without gaps."""
    rows: list[list[Rule]] = []
    for rule in sorted(rules):
        if rows and rule.at - rows[-1][0].at <= THICK:
            rows[-1].append(rule)
        else:
            rows.append([rule])
    joined: list[Rule] = []
    for row in rows:
        at = row[len(row) // 2].at
        row.sort(key=lambda rule: rule.start)
        start, end = row[0].start, row[0].end
        for rule in row[1:]:
            if rule.start > end + THICK:
                joined.append(Rule(at, start, end))
                start = rule.start
            end = max(end, rule.end)
        joined.append(Rule(at, start, end))
    return [rule for rule in joined if rule.end - rule.start >= _SHORTEST]


def _touching(level: Sequence[Rule], upright: Sequence[Rule]) -> Iterable[tuple[list[Rule], list[Rule]]]:
    """The lines in sets of those which touch one another."""
    parents = list(range(len(level) + len(upright)))

    def root(at: int) -> int:
        while parents[at] != at:
            parents[at] = parents[parents[at]]
            at = parents[at]
        return at

    for number, line in enumerate(level):
        for other, post in enumerate(upright, len(level)):
            if line.start - THICK <= post.at <= line.end + THICK and post.start - THICK <= line.at <= post.end + THICK:
                parents[root(other)] = root(number)
    sets = defaultdict[int, tuple[list[Rule], list[Rule]]](lambda: ([], []))
    for number, rule in enumerate([*level, *upright]):
        sets[root(number)][number >= len(level)].append(rule)
    return sets.values()


def _grid(level: Sequence[Rule], upright: Sequence[Rule]) -> Grid | None:
    """None where they leave a cell that is no rectangle, or hardly any."""
    if not level or not upright:
        return None
    columns = _edges([rule.at for rule in upright], level)
    rows = _edges([rule.at for rule in level], upright)
    if not (2 < len(columns) <= MOST_COLUMNS + 1 and 2 < len(rows) <= MOST_ROWS + 1):
        return None
    walls = _borders(columns, rows, upright)
    floors = _borders(rows, columns, level)
    slots = [[-1] * (len(columns) - 1) for _ in rows[1:]]
    count = 0
    for y, row in enumerate(slots):
        for x, cell in enumerate(row):
            if cell == -1:
                if not _fill(slots, x, y, count, walls, floors):
                    return None
                count += 1
    return Grid(columns, rows, slots)


def _edges(across: Iterable[float], along: Sequence[Rule]) -> list[float]:
    """Where cells end: at the lines across, and where the outermost of those along do."""
    edges: list[float] = []
    for at in sorted([*across, min(rule.start for rule in along), max(rule.end for rule in along)]):
        if not edges or at - edges[-1] > THICK:
            edges.append(at)
    return edges


def _borders(at: Sequence[float], along: Sequence[float], rules: Sequence[Rule]) -> set[tuple[int, int]]:
    """Which inner edge, by its number, has a line beside which slot along it."""
    middles = [(start + end) / 2 for start, end in pairwise(along)]
    return {
        (number, slot)
        for rule in rules
        for number in range(1, len(at) - 1)
        if abs(at[number] - rule.at) <= THICK
        for slot, middle in enumerate(middles)
        if rule.start <= middle <= rule.end
    }


def _fill(slots: Slots, x: int, y: int, cell: int, walls: set[tuple[int, int]], floors: set[tuple[int, int]]) -> bool:
    """Give a cell all slots up to its lines; whether they are a rectangle with no line within."""
    right, top = x + 1, y + 1
    while right < len(slots[y]) and (right, y) not in walls:
        right += 1
    while top < len(slots) and (top, x) not in floors:
        top += 1
    for row in range(y, top):
        for column in range(x, right):
            inside = (column == x or (column, row) not in walls) and (row == y or (row, column) not in floors)
            if not inside or slots[row][column] != -1:
                return False
            slots[row][column] = cell
        if right < len(slots[row]) and (right, row) not in walls:
            return False
    return all(top == len(slots) or (top, column) in floors for column in range(x, right))
