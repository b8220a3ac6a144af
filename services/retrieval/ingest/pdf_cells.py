"""What stands in the cells of a ruled grid, as the rows of a table, where it is one for certain."""

from bisect import bisect
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from statistics import median
from typing import NamedTuple

from services.retrieval.ingest.pdf_content import Piece, Point
from services.retrieval.ingest.records import MOST_HEADERS, names_columns
from services.retrieval.ingest.rules import THICK, Grid, Slots
from services.retrieval.ingest.tables import Cell

LONGEST_CELL = 1000
# Of the cells of a table at least so many hold something; a chart's have little.
_FILLED = 0.5
# Lines of text in one cell, from which on those beside them are taken for rows that no line is drawn between.
_FEWEST_LINES = 3
_SAME_LINE = 0.5
# A name is so much shorter than the values that it names.
_NAME_SHARE = 0.6

Rows = list[list[Cell]]


class Placed(NamedTuple):
    """A piece, with its number on the page."""

    number: int
    piece: Piece


Cells = dict[int, list[Placed]]


def filled(grid: Grid, pieces: Iterable[Piece]) -> Cells:
    """What is in each cell of a grid, by the cell's number."""
    cells = defaultdict[int, list[Placed]](list)
    for number, piece in enumerate(pieces):
        place = _slot(grid, piece)
        if place:
            cells[grid.slots[place[1]][place[0]]].append(Placed(number, piece))
    return dict(cells)


def rows_of(grid: Grid, cells: Cells) -> Rows | None:
    """The rows of a table, those that name its columns with headers as cells; None for what is no table, or not for
    certain."""
    pieces = [placed.piece for cell in cells.values() for placed in cell]
    if not pieces or any(_leaves(grid, piece) for piece in pieces):
        return None
    turn = turn_of(cells)
    slots = _upright(grid.slots, turn)
    if not _is_filled(slots, cells):
        return None
    split = _split(slots, cells, turn)
    if split is None:
        return None
    slots, cells = split
    rows = _rows(slots, cells, turn)
    if any(len(cell.text) > LONGEST_CELL for row in rows for cell in row):
        return None
    count = _header_count(slots, cells, rows)
    return [[replace(cell, header=True) for cell in row] if at < count else row for at, row in enumerate(rows)]


def turn_of(cells: Cells) -> int:
    """How most of what is in the cells is turned."""
    return Counter(placed.piece.turn for cell in cells.values() for placed in cell).most_common(1)[0][0]


def _slot(grid: Grid, piece: Piece) -> tuple[int, int] | None:
    """The column and the row, from below, in which the first letter of a piece stands."""
    if piece.place is None:
        return None
    x, y = _middle(piece, piece.place)
    column, row = bisect(grid.columns, x) - 1, bisect(grid.rows, y) - 1
    within = 0 <= column < len(grid.columns) - 1 and 0 <= row < len(grid.rows) - 1
    return (column, row) if within else None


def _middle(piece: Piece, place: Point) -> Point:
    """A point within the first letter."""
    along, above = 0.15 * piece.size, 0.25 * piece.size
    x, y = place
    return ((x + along, y + above), (x - above, y + along), (x - along, y - above), (x + above, y - along))[piece.turn]


def _leaves(grid: Grid, piece: Piece) -> bool:
    """Whether a piece goes on beyond the line at the right of its cell."""
    place = _slot(grid, piece)
    if piece.place is None or piece.turn or place is None:
        return False
    column, row = place[0], grid.slots[place[1]]
    while column + 1 < len(row) and row[column + 1] == row[column]:
        column += 1
    return piece.place[0] + piece.width > grid.columns[column + 1] + piece.size


def _upright(slots: Slots, turn: int) -> Slots:
    """The slots as they are read: the first row first."""
    match turn:
        case 0:
            return [list(row) for row in reversed(slots)]
        case 1:
            return [list(column) for column in zip(*slots, strict=True)]
        case 2:
            return [list(reversed(row)) for row in slots]
        case _:
            return [list(column) for column in zip(*map(reversed, reversed(slots)), strict=True)]


def _is_filled(slots: Slots, cells: Cells) -> bool:
    """Whether most cells hold text, and in two rows at least two of them."""
    numbers = {cell for row in slots for cell in row}
    rows = sum(len(cells.keys() & set(row)) > 1 for row in slots)
    return rows > 1 and len(cells) >= _FILLED * len(numbers)


def _split(slots: Slots, cells: Cells, turn: int) -> tuple[Slots, Cells] | None:
    """With each line of text as a row where all columns have the same lines of text, and none is drawn between them.
    None where it may be so, and cannot be told."""
    split: Slots = []
    parts = dict(cells)
    following = max(map(max, slots)) + 1
    counts = Counter(cell for row in slots for cell in row)
    for row in slots:
        lines = [_lines(cells.get(cell, ()), turn) for cell in row]
        if any(counts[cell] > 1 for cell in row) or sum(len(each) >= _FEWEST_LINES for each in lines) < 2:
            split.append(row)
        elif _are_same(lines, turn):
            for line in zip(*lines, strict=True):
                split.append(list(range(following, following + len(row))))
                parts.update(zip(split[-1], line, strict=True))
                following += len(row)
        elif len(slots) == 2:
            return None
        else:
            split.append(row)
    return split, parts


def _lines(cell: Iterable[Placed], turn: int) -> list[list[Placed]]:
    """What is in a cell by its lines, the highest first."""
    lines: list[list[Placed]] = []
    for placed in sorted(cell, key=lambda each: -_height(each.piece, turn)):
        if lines and not _is_lower(lines[-1][0].piece, placed.piece, turn):
            lines[-1].append(placed)
        else:
            lines.append([placed])
    return [sorted(line, key=lambda each: each.number) for line in lines]


def _are_same(columns: Sequence[Sequence[Sequence[Placed]]], turn: int) -> bool:
    """Whether all columns have lines at the same heights."""
    heights = [[_height(line[0].piece, turn) for line in column] for column in columns]
    return all(
        len(column) == len(heights[0])
        and all(abs(one - other) <= THICK for one, other in zip(column, heights[0], strict=True))
        for column in heights
    )


def _height(piece: Piece, turn: int) -> float:
    x, y = piece.place or (0.0, 0.0)
    return (y, -x, -y, x)[turn]


def _is_lower(above: Piece, piece: Piece, turn: int) -> bool:
    return abs(_height(above, turn) - _height(piece, turn)) > _SAME_LINE * max(above.size, piece.size)


def _rows(slots: Slots, cells: Cells, turn: int) -> Rows:
    """Each row with the cells that begin in it."""
    places = defaultdict[int, list[tuple[int, int]]](list)
    for y, row in enumerate(slots):
        for x, cell in enumerate(row):
            places[cell].append((y, x))
    rows: Rows = [[] for _ in slots]
    for cell, slots_of in places.items():
        (top, left), (bottom, right) = slots_of[0], slots_of[-1]
        rows[top].append(Cell(_text(cells.get(cell, ()), turn), right - left + 1, bottom - top + 1))
    return rows


def _text(cell: Iterable[Placed], turn: int) -> str:
    """A cell's text in one line. White space is a piece of its own."""
    parts: list[str] = []
    last: Placed | None = None
    for placed in cell:
        if last and (placed.number > last.number + 1 or _is_lower(last.piece, placed.piece, turn)):
            parts.append(" ")
        parts.append(placed.piece.text)
        last = placed
    return " ".join("".join(parts).split())


def _header_count(slots: Slots, cells: Cells, rows: Rows) -> int:
    """How many rows name the columns: those in bold letters, where others are not, else the first by what it says."""
    bold = [
        all(placed.piece.bold for cell in set(row) for placed in cells.get(cell, ()) if placed.piece.text.strip())
        for row in slots
    ]
    count = next((at for at, each in enumerate(bold) if not each), len(bold))
    if 0 < count <= MOST_HEADERS and count < len(rows):
        return count
    first = [placed.piece for row in slots for placed in cells.get(row[0], ())]
    emphasized = count < len(rows) and any(piece.bold for piece in first)
    if emphasized or any(cell.columns > 1 for cell in rows[0]):
        return 0
    return int(_is_named(rows))


def _is_named(rows: Rows) -> bool:
    """Whether the first row names the columns by what it says: in the column of the longest values by a short name."""
    first, *below = [[cell.text for cell in row] for row in rows]
    if not names_columns(first, below):
        return False
    lengths = [
        (median(len(row[at]) for row in below if at < len(row) and row[at]), len(name))
        for at, name in enumerate(first)
        if any(at < len(row) and row[at] for row in below)
    ]
    value, name = max(lengths, default=(0, 1))
    return 0 < name <= _NAME_SHARE * value
