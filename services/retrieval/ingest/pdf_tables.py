"""The tables of a PDF's pages: ruled ones alone, where lines between all cells leave no doubt. All else stays text."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from services.retrieval.ingest.pdf_cells import Rows, filled, rows_of, turn_of
from services.retrieval.ingest.pdf_content import Content, Piece
from services.retrieval.ingest.rules import THICK, Grid


@dataclass(frozen=True, slots=True)
class Table:
    """A table's rows, those that name its columns with headers as cells; and where its columns end, in points."""

    rows: Rows
    columns: Sequence[float]


def parts(content: Content) -> Iterator[str | Table]:
    """A page's text, and its tables where the first of their text is."""
    owners: dict[int, Table] = {}
    taken: list[Grid] = []
    for grid in sorted(content.rules.grids(), key=_area):
        if any(_holds(grid, other) for other in taken):
            continue  # the page is laid out by it
        cells = filled(grid, content.pieces)
        rows = rows_of(grid, cells)
        if rows:
            table = Table(rows, grid.rows if turn_of(cells) % 2 else grid.columns)
            taken.append(grid)
            owners.update((placed.number, table) for cell in cells.values() for placed in cell)
    return _parted(content.pieces, owners)


def going_on(table: Table, following: Table) -> Table:
    """The table that follows another on the next page, with the header of that one where it goes on with it."""
    headers = [row for row in table.rows if all(cell.header for cell in row)]
    same = len(table.columns) == len(following.columns) and all(
        abs(one - other) <= THICK for one, other in zip(table.columns, following.columns, strict=True)
    )
    if not same or not headers:
        return following
    count = len(headers)
    rows = [[replace(cell, header=False) for cell in row] for row in following.rows]
    again = [[cell.text for cell in row] for row in headers] == [[cell.text for cell in row] for row in rows[:count]]
    return replace(following, rows=[*headers, *rows[count if again else 0 :]])


def _area(grid: Grid) -> float:
    return (grid.columns[-1] - grid.columns[0]) * (grid.rows[-1] - grid.rows[0])


def _holds(outer: Grid, inner: Grid) -> bool:
    return all(
        one[0] - THICK <= other[0] and other[-1] <= one[-1] + THICK
        for one, other in ((outer.columns, inner.columns), (outer.rows, inner.rows))
    )


def _parted(pieces: Sequence[Piece], owners: Mapping[int, Table]) -> Iterator[str | Table]:
    """White space goes with what is before it."""
    done: set[int] = set()
    text: list[str] = []
    owner: Table | None = None
    for number, piece in enumerate(pieces):
        if piece.text.strip():
            owner = owners.get(number)
        if owner is None:
            text.append(piece.text)
        elif id(owner) not in done:
            done.add(id(owner))
            yield "".join(text)
            yield owner
            text = []
    yield "".join(text)
