"""A table's rows as they are read: each by itself, its values named by the headers of their columns."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from services.retrieval.ingest.outline import Row

MOST_COLUMNS = 64
LONGEST_HEADER = 40


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell with its text in one line; how many columns and rows it spans; whether it is a header."""

    text: str
    columns: int = 1
    rows: int = 1
    header: bool = False


Grid = list[list[Cell]]


def read_rows(rows: Sequence[Sequence[Cell]]) -> Iterator[Row]:
    """The rows of a table, the headers' left out. A cell that spans all columns names the rows below it."""
    grid = _grid(rows)
    width = max(map(len, grid), default=0)
    headers = [""] * width
    group = ""
    begun = False
    count = len(_guessed(grid)) if not any(cell.header for row in grid for cell in row) else 0
    for number, row in enumerate(grid):
        cells = [cell for at, cell in enumerate(row) if cell.text and (not at or row[at - 1] is not cell)]
        if not cells:
            continue
        if number < count or all(cell.header for cell in row):
            if len(row) > 1 and all(cell is row[0] for cell in row):
                group = cells[0].text
                continue
            headers = _headers(headers if not begun else [""] * width, row)
            if begun:
                group = ""
            continue
        if len(cells) == 1 and width > 1 and cells[0].columns >= width and number + 1 < len(grid):
            group = cells[0].text
            continue
        begun = True
        text = _named(headers, row)
        yield Row(f"{group}; {text}" if group else text, f"{group}; {cells[0].text}" if group else cells[0].text)
    if not begun and any(headers):
        yield Row(_joined([header for header in headers if header]), "")


def _grid(rows: Sequence[Sequence[Cell]]) -> Grid:
    """Every row with the same cell in each place that it spans."""
    grid: Grid = []
    hanging: dict[int, tuple[Cell, int]] = {}
    for row in rows:
        placed: list[Cell] = []
        cells = iter(row)
        while len(placed) < MOST_COLUMNS:
            above = hanging.pop(len(placed), None)
            if above:
                cell, left = above
                if left > 1:
                    hanging[len(placed)] = (cell, left - 1)
                placed.append(cell)
                continue
            following = next(cells, None)
            if following is None:
                break
            for _ in range(min(max(following.columns, 1), MOST_COLUMNS - len(placed))):
                if following.rows > 1:
                    hanging[len(placed)] = (following, following.rows - 1)
                placed.append(following)
        grid.append(placed)
    return grid


def _headers(above: Sequence[str], row: Sequence[Cell]) -> list[str]:
    """The columns' names, with those of the row of headers above."""
    names = [cell.text for cell in row] + [""] * (len(above) - len(row))
    return [
        name if not over or name == over else f"{over} {name}".strip() for over, name in zip(above, names, strict=True)
    ]


def _guessed(grid: Grid) -> Grid:
    """The first row of a table without headers, where it is the only one that has no figures in some column, and is
    short."""
    if len(grid) < 3 or any(not cell.text or len(cell.text) > LONGEST_HEADER or _has_figures(cell) for cell in grid[0]):
        return []
    columns = zip(*grid[1:], strict=False)
    return grid[:1] if any(all(map(_has_figures, column)) for column in columns) else []


def _has_figures(cell: Cell) -> bool:
    return any(character.isdigit() for character in cell.text)


def _named(headers: Sequence[str], row: Sequence[Cell]) -> str:
    """`header: value; header: value`; without headers `first: second; third`."""
    parts: list[str] = []
    at = 0
    while at < len(row):
        end = at + 1
        while end < len(row) and row[end] is row[at]:
            end += 1
        value = row[at].text
        names = ", ".join(dict.fromkeys(name for name in headers[at:end] if name))
        if value:
            parts.append(f"{names}: {value}" if names and names != value else value)
        at = end
    if not any(headers) and len(parts) > 1:
        return f"{parts[0]}: {_joined(parts[1:])}"
    return _joined(parts)


def _joined(parts: Sequence[str]) -> str:
    return "; ".join([*(part.removesuffix(".") for part in parts[:-1]), *parts[-1:]])
